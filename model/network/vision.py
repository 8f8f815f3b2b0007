"""Vision encoder: a plain pre-norm ViT with patch size 14 and no class token (paper section 2.1; OpenCLIP's ViT-bigG).

Shapes: B images, C colours, H x W pixels, N patches, D width, K heads, E width of a head.
"""

# mypy: disable-error-code="no-untyped-call"

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from transformers.modeling_layers import GradientCheckpointingLayer

from .config import VisionConfig
from .errors import ModelError
from .positions import interpolate_positions


class VisionAttention(nn.Module):
    """Full self-attention. `qkv` holds [q | k | v] as in OpenCLIP; the release interleaves them per head."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x_BND: Tensor) -> Tensor:
        q_BKNE, k_BKNE, v_BKNE = self.qkv(x_BND).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed_BKNE = scaled_dot_product_attention(q_BKNE, k_BKNE, v_BKNE)
        out_BND: Tensor = self.out_proj(mixed_BKNE.transpose(1, 2).flatten(2))
        return out_BND


class VisionMlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.hidden_size, config.intermediate_size)
        self.c_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x_BND: Tensor) -> Tensor:
        out_BND: Tensor = self.c_proj(gelu(self.c_fc(x_BND)))
        return out_BND


class VisionBlock(GradientCheckpointingLayer):
    """Norm and attention, then norm and MLP, each with a residual connection."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = VisionAttention(config)
        self.ln_2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMlp(config)

    def forward(self, x_BND: Tensor) -> Tensor:
        x_BND = x_BND + self.attn(self.ln_1(x_BND))
        out_BND: Tensor = x_BND + self.mlp(self.ln_2(x_BND))
        return out_BND


class VisionTransformer(nn.Module):
    """Pixels [B, 3, H, W] -> patch features [B, N, D], before any final norm (the adapter follows)."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.patch_size = patch
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.positional_embedding = nn.Parameter(torch.empty(config.position_grid**2, width))
        self.ln_pre = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.num_hidden_layers))

    def grid(self, pixels_BCHW: Tensor) -> tuple[int, int]:
        """(rows, columns) of patches. Raises ModelError if the sides are not multiples of the patch size."""
        height, width = pixels_BCHW.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ModelError(
                f"the sides of an image of {width}x{height} pixels are not multiples of patch size {self.patch_size}"
            )
        return height // self.patch_size, width // self.patch_size

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        grid = self.grid(pixels_BCHW)
        x_BND: Tensor = self.conv1(pixels_BCHW.to(self.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        x_BND = self.ln_pre(x_BND + interpolate_positions(self.positional_embedding, grid))
        for block in self.blocks:
            x_BND = block(x_BND)
        return x_BND
