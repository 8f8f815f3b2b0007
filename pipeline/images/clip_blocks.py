"""open_clip's transformer encoders without the work that their vectors do not need; equal to open_clip's but for rounding.

Three savings, all exact: sequences of different lengths lie one after another, so that no padding is computed; the last
block computes only the one token that is read (class or end-of-text); and on a CPU, weights are laid out once as oneDNN
wants them, which also lets it fuse GELU. An encoder that is not built from open_clip's plain blocks is refused (``of``
returns None) and runs as open_clip runs it. open_clip itself has no option for any of the three.
"""

from dataclasses import dataclass
from typing import Any, Self

import open_clip
import torch  # type: ignore[import-not-found, unused-ignore]
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch.nn import functional  # type: ignore[import-not-found, unused-ignore]


@dataclass(frozen=True)
class Packed:
    """How sequences lie in a matrix of tokens: runs of (sequences, tokens per sequence), and the row of each read token."""

    runs: list[tuple[int, int]]
    read: torch.Tensor
    causal: bool


class Linear:
    """``x @ weight.T + bias``, optionally followed by GELU."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, gelu: bool = False) -> None:
        self.bias, self.gelu, self.weight = bias, gelu, weight
        self.onednn_type = onednn_type(weight)
        if self.onednn_type is not None:
            self.bias = None if bias is None else bias.detach().to(self.onednn_type)
            self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(self.onednn_type))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.onednn_type is not None:
            name, algorithm = ("gelu", "none") if self.gelu else ("none", "")
            wide = x.to(self.onednn_type)
            return torch.ops.mkldnn._linear_pointwise(wide, self.weight, self.bias, name, [], algorithm).to(x.dtype)
        y = functional.linear(x, self.weight, self.bias)
        return functional.gelu(y) if self.gelu else y


def onednn_type(weight: torch.Tensor) -> torch.dtype | None:
    """The type in which oneDNN multiplies by this weight on this processor; None if oneDNN cannot be used.

    A processor without bfloat16 instructions (x86: AVX-512 or AVX-NE-CONVERT) gets float32. oneDNN accumulates bfloat16
    products in float32 and rounds once at the end, as the caller then does, so only the order of summation differs.
    """
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16) or not has_onednn():
        return None
    return weight.dtype if weight.dtype is torch.float32 or has_bfloat16() else torch.float32


def has_onednn() -> bool:
    """Whether torch was built with oneDNN's fused linear layer (a private operator) and oneDNN is switched on."""
    mkldnn = torch.backends.mkldnn
    usable = mkldnn.is_available() and mkldnn.enabled  # type: ignore[no-untyped-call, unused-ignore]
    return bool(usable) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def has_bfloat16() -> bool:
    """Whether the processor has what oneDNN needs to multiply bfloat16 matrices."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Block:
    """One residual block over packed tokens [tokens, width]."""

    def __init__(self, block: Any) -> None:
        attention, mlp = block.attn, block.mlp
        width = attention.embed_dim
        self.parts, self.heads, self.width = block, attention.num_heads, width
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        self.inputs = Linear(weight, bias)
        self.output = Linear(attention.out_proj.weight, attention.out_proj.bias)
        plain = type(mlp.gelu) is torch.nn.GELU and mlp.gelu.approximate == "none"
        self.widen = Linear(mlp.c_fc.weight, mlp.c_fc.bias, gelu=plain)
        self.activation = torch.nn.Identity() if plain else mlp.gelu
        self.narrow = Linear(mlp.c_proj.weight, mlp.c_proj.bias)

    def __call__(self, x: torch.Tensor, packed: Packed) -> torch.Tensor:
        """All tokens [tokens, width]."""
        mixed, start = [], 0
        inputs = self.inputs(self.parts.ln_1(x))
        for number, length in packed.runs:
            q, k, v = self._heads(inputs[start : start + number * length], number, length)
            start += number * length
            part = functional.scaled_dot_product_attention(q, k, v, is_causal=packed.causal)
            mixed.append(part.transpose(1, 2).reshape(-1, self.width))
        return self._finish(x, mixed[0] if len(mixed) == 1 else torch.cat(mixed))

    def read(self, x: torch.Tensor, packed: Packed) -> torch.Tensor:
        """Only the read token of each sequence [sequences, width]: keys and values of all tokens, everything else of one."""
        mixed, start, first = [], 0, 0
        inputs = self.inputs(self.parts.ln_1(x))
        for number, length in packed.runs:
            q, k, v = self._heads(inputs[start : start + number * length], number, length)
            position = packed.read[first : first + number] - start - torch.arange(number, device=x.device) * length
            one = q[torch.arange(number, device=x.device), :, position].unsqueeze(2)
            seen = (
                (torch.arange(length, device=x.device) <= position[:, None])[:, None, None] if packed.causal else None
            )
            part = functional.scaled_dot_product_attention(one, k, v, attn_mask=seen)
            mixed.append(part.reshape(-1, self.width))
            start, first = start + number * length, first + number
        return self._finish(x[packed.read], torch.cat(mixed))

    def _heads(self, inputs: torch.Tensor, number: int, length: int) -> torch.Tensor:
        """Queries, keys and values [3, number, heads, length, size]."""
        return inputs.view(number, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)

    @staticmethod
    def fits(block: Any) -> bool:
        """Whether this is open_clip's plain block, with one matrix for queries, keys and values."""
        if type(block) is not ResidualAttentionBlock or hasattr(block, "ln_1_kv"):
            return False
        attention = block.attn
        return attention.in_proj_weight is not None and attention.bias_k is None and not attention.add_zero_attn

    def _finish(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x = x + self.parts.ls_1(self.output(mixed))
        wide = self.activation(self.widen(self.parts.ln_2(x)))
        return x + self.parts.ls_2(self.narrow(wide))


class Blocks:
    """All blocks of an encoder."""

    def __init__(self, transformer: Any) -> None:
        self.blocks = [Block(block) for block in transformer.resblocks]

    def __call__(self, x: torch.Tensor, packed: Packed) -> torch.Tensor:
        """The read tokens [sequences, width] after all blocks, from packed tokens [tokens, width]."""
        for block in self.blocks[:-1]:
            x = block(x, packed)
        return self.blocks[-1].read(x, packed)


class ImageEncoder:
    """open_clip's vision transformer whose vector is read from the class token."""

    def __init__(self, visual: Any) -> None:
        self.visual, self.blocks = visual, Blocks(visual.transformer)
        self.patches = Linear(visual.conv1.weight.flatten(1), None)
        self.tokens = visual.positional_embedding.shape[0]

    @classmethod
    def of(cls, model: Any) -> Self | None:
        """The encoder of a model, or None if the model is built differently."""
        visual: Any = getattr(model, "visual", None)
        if type(visual) is not VisionTransformer or visual.pool_type != "tok" or visual.attn_pool is not None:
            return None
        fits = not visual.output_tokens and all(map(Block.fits, visual.transformer.resblocks))
        return cls(visual) if fits else None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Image vectors [n, width] of normalised images [n, 3, height, width]."""
        visual, number = self.visual, len(images)
        (rows, columns), (height, width) = visual.grid_size, visual.patch_size
        patches = images[:, :, : rows * height, : columns * width].reshape(number, 3, rows, height, columns, width)
        x = self.patches(patches.permute(0, 2, 4, 1, 3, 5).reshape(number * rows * columns, -1))
        class_token = visual.class_embedding.to(x.dtype).expand(number, 1, -1)
        x = torch.cat([class_token, x.view(number, rows * columns, -1)], dim=1)
        x = visual.ln_pre(x + visual.positional_embedding.to(x.dtype)).flatten(0, 1)
        class_rows = torch.arange(number, device=x.device) * self.tokens
        pooled = visual.ln_post(self.blocks(x, Packed([(number, self.tokens)], class_rows, causal=False)))
        return pooled if visual.proj is None else pooled @ visual.proj


class TextEncoder:
    """open_clip's causal text transformer, read at the end-of-text token; tokens after it are not computed.

    Lengths are rounded up to multiples of ``step``. That gives fewer runs, for a device where each run costs a launch.
    """

    def __init__(self, model: Any, step: int) -> None:
        self.model, self.blocks, self.step = model, Blocks(model.transformer), step

    @classmethod
    def of(cls, model: Any, step: int = 1) -> Self | None:
        """The encoder of a model, or None if the model is built differently."""
        fits = is_causal(model) and all(map(Block.fits, model.transformer.resblocks))
        return cls(model, step) if fits else None

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Text vectors [n, width] of tokens [n, context]. The captions may come in any order of length."""
        model, (number, context) = self.model, tokens.shape
        device = model.positional_embedding.device
        ends = tokens.argmax(dim=-1)
        order = ends.argsort(stable=True)
        lengths = ((ends[order] // self.step + 1) * self.step).clamp(max=context)
        computed = torch.arange(context) < lengths[:, None]
        token_ids = moved(tokens[order][computed], device)
        positions = moved(torch.arange(context).expand(number, -1)[computed], device)
        read = moved(lengths.cumsum(0) - lengths + ends[order], device)
        found, counts = torch.unique(lengths, return_counts=True)  # sorted, as the lengths are
        packed = Packed(list(zip(counts.tolist(), found.tolist(), strict=True)), read, causal=True)
        kind = model.transformer.get_cast_dtype()
        x = model.token_embedding(token_ids).to(kind) + model.positional_embedding[positions].to(kind)
        x = projected(model, model.ln_final(self.blocks(x, packed)))
        return x[moved(order.argsort(), device)]


def moved(batch: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A batch on the device. It is copied from pinned memory, so that the copy overlaps the work queued before it."""
    return batch if device.type != "cuda" else batch.pin_memory().to(device, non_blocking=True)


def projected(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Text vectors from the read tokens [n, width]."""
    projection = model.text_projection
    if projection is None:
        return x
    return torch.as_tensor(projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection)


def is_causal(model: Any) -> bool:
    """Whether the text encoder is open_clip's own, has a causal mask and is read at the end-of-text token."""
    own = type(model) is open_clip.model.CLIP
    return own and model.attn_mask is not None and model.text_pool_type == "argmax"
