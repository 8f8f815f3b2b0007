"""Position-aware adapter: 256 learned queries attend to the patch features in one cross-attention (paper section 2.1).

Shapes: B images, N patches, V width of the ViT, Q queries, D width of the language model, K heads, E width of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from .config import AdapterConfig
from .positions import interpolate_positions, sincos_2d


class CrossAttention(nn.Module):
    """Multi-head attention in which queries, keys and values come from different inputs, all of width D."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, query_BQD: Tensor, key_BND: Tensor, value_BND: Tensor) -> Tensor:
        q_BKQE, k_BKNE, v_BKNE = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, x in ((self.q_proj, query_BQD), (self.k_proj, key_BND), (self.v_proj, value_BND))
        )
        mixed_BKQE = scaled_dot_product_attention(q_BKQE, k_BKNE, v_BKNE)
        out_BQD: Tensor = self.out_proj(mixed_BKQE.transpose(1, 2).flatten(2))
        return out_BQD


class Adapter(nn.Module):
    """Patch features [B, N, V] -> image features [B, Q, D]. In the release, `ln_post` and `proj` are outside the adapter.

    Positions are added to queries and keys, never to values. They are a buffer, so that no optimizer can train them.
    The keys' positions are the queries' 16x16 table interpolated to the patch grid; they are not computed separately.
    (transformers leaves buffers in float32 when it loads bfloat16 weights, hence the casts.)
    """

    pos_embed: Tensor

    def __init__(self, config: AdapterConfig, vision_width: int, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(config.num_queries, width))
        self.register_buffer("pos_embed", sincos_2d(config.query_grid, width))
        self.kv_proj = nn.Linear(vision_width, width, bias=False)
        self.ln_q = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.ln_kv = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.attn = CrossAttention(width, config.num_attention_heads)
        self.ln_post = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.proj = nn.Parameter(torch.empty(width, width))

    def forward(self, patches_BNV: Tensor, grid: tuple[int, int]) -> Tensor:
        value_BND = self.ln_kv(self.kv_proj(patches_BNV))
        key_BND = value_BND + interpolate_positions(self.pos_embed, grid).to(value_BND.dtype)
        query_QD = self.ln_q(self.query)
        query_BQD = (query_QD + self.pos_embed.to(query_QD.dtype)).expand(len(patches_BNV), -1, -1)
        out_BQD: Tensor = self.ln_post(self.attn(query_BQD, key_BND, value_BND)) @ self.proj
        return out_BQD
