"""open_clip's transformer towers, without the work that their vectors do not need; the same numbers but for rounding.

Three savings, all exact: sequences of any lengths lie one behind the other, so that no padding is computed; the last block
works for the one token only that is read (class or end mark); and on a CPU weights are laid out once as oneDNN wants them,
which then also applies GELU in passing. Whatever is built in another way than open_clip's plain blocks is refused (``of``
gives None) and runs as open_clip runs it.
"""

from dataclasses import dataclass
from typing import Any, Self

import open_clip
import torch  # type: ignore[import-not-found, unused-ignore]
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch.nn import functional  # type: ignore[import-not-found, unused-ignore]


@dataclass(frozen=True)
class Packed:
    """How sequences lie in a matrix of tokens: runs of (sequences, tokens of each), and the row of each one's read token."""

    runs: list[tuple[int, int]]
    read: torch.Tensor
    causal: bool


class Linear:
    """``x @ weight.T + bias``, with GELU behind it where asked for."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, gelu: bool = False) -> None:
        self.bias, self.gelu = bias, gelu
        usable = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16)
        self.prepared = usable and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach()) if self.prepared else weight

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.prepared:
            name, kind = ("gelu", "none") if self.gelu else ("none", "")
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], kind)
        y = functional.linear(x, self.weight, self.bias)
        return functional.gelu(y) if self.gelu else y


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
        """The read token of each sequence alone [sequences, width]: keys and values of all, the rest of one."""
        mixed, start, first = [], 0, 0
        inputs = self.inputs(self.parts.ln_1(x))
        for number, length in packed.runs:
            q, k, v = self._heads(inputs[start : start + number * length], number, length)
            at = packed.read[first : first + number] - start - torch.arange(number, device=x.device) * length
            one = q[torch.arange(number, device=x.device), :, at].unsqueeze(2)
            seen = (torch.arange(length, device=x.device) <= at[:, None])[:, None, None] if packed.causal else None
            part = functional.scaled_dot_product_attention(one, k, v, attn_mask=seen)
            mixed.append(part.reshape(-1, self.width))
            start, first = start + number * length, first + number
        return self._finish(x[packed.read], torch.cat(mixed))

    def _heads(self, inputs: torch.Tensor, number: int, length: int) -> torch.Tensor:
        """Queries, keys and values [3, number, heads, length, size]."""
        return inputs.view(number, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)

    @staticmethod
    def fits(block: Any) -> bool:
        """Is it open_clip's plain block, with one matrix for queries, keys and values?"""
        if type(block) is not ResidualAttentionBlock or hasattr(block, "ln_1_kv"):
            return False
        attention = block.attn
        return attention.in_proj_weight is not None and attention.bias_k is None and not attention.add_zero_attn

    def _finish(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x = x + self.parts.ls_1(self.output(mixed))
        wide = self.activation(self.widen(self.parts.ln_2(x)))
        return x + self.parts.ls_2(self.narrow(wide))


class Blocks:
    """The blocks of a tower."""

    def __init__(self, transformer: Any) -> None:
        self.blocks = [Block(block) for block in transformer.resblocks]

    def __call__(self, x: torch.Tensor, packed: Packed) -> torch.Tensor:
        """The read tokens [sequences, width] behind all blocks, from packed tokens [tokens, width]."""
        for block in self.blocks[:-1]:
            x = block(x, packed)
        return self.blocks[-1].read(x, packed)


class ImageTower:
    """open_clip's vision transformer that reads its class token."""

    def __init__(self, visual: Any) -> None:
        self.visual, self.blocks = visual, Blocks(visual.transformer)
        self.patches = Linear(visual.conv1.weight.flatten(1), None)
        self.tokens = visual.positional_embedding.shape[0]

    @classmethod
    def of(cls, model: Any) -> Self | None:
        """None where the tower is another one."""
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
        mark = visual.class_embedding.to(x.dtype).expand(number, 1, -1)
        x = torch.cat([mark, x.view(number, rows * columns, -1)], dim=1)
        x = visual.ln_pre(x + visual.positional_embedding.to(x.dtype)).flatten(0, 1)
        marks = torch.arange(number, device=x.device) * self.tokens
        pooled = visual.ln_post(self.blocks(x, Packed([(number, self.tokens)], marks, causal=False)))
        return pooled if visual.proj is None else pooled @ visual.proj


class TextTower:
    """open_clip's text transformer with a causal mask, read at the end mark; nothing behind that mark is computed.

    Lengths are rounded up to multiples of ``step``: fewer runs, for a device where each of them costs a launch.
    """

    def __init__(self, model: Any, step: int) -> None:
        self.model, self.blocks, self.step = model, Blocks(model.transformer), step

    @classmethod
    def of(cls, model: Any, step: int = 1) -> Self | None:
        """None where the tower is another one."""
        fits = is_causal(model) and all(map(Block.fits, model.transformer.resblocks))
        return cls(model, step) if fits else None

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """Text vectors [n, width] of tokens [n, context], in order of length as fast as in any other."""
        model, (number, context) = self.model, tokens.shape
        device = model.positional_embedding.device
        ends = tokens.argmax(dim=-1)
        order = ends.argsort(stable=True)
        lengths = ((ends[order] // self.step + 1) * self.step).clamp(max=context)
        there = torch.arange(context) < lengths[:, None]
        words = moved(tokens[order][there], device)
        places = moved(torch.arange(context).expand(number, -1)[there], device)
        read = moved(lengths.cumsum(0) - lengths + ends[order], device)
        found, counts = torch.unique(lengths, return_counts=True)  # sorted, as the lengths are
        packed = Packed(list(zip(counts.tolist(), found.tolist(), strict=True)), read, causal=True)
        kind = model.transformer.get_cast_dtype()
        x = model.token_embedding(words).to(kind) + model.positional_embedding[places].to(kind)
        x = projected(model, model.ln_final(self.blocks(x, packed)))
        return x[moved(order.argsort(), device)]


def moved(batch: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A batch on the device; from pinned memory, so that the copy runs beside the work before it."""
    return batch if device.type != "cuda" else batch.pin_memory().to(device, non_blocking=True)


def projected(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Text vectors from the read tokens [n, width]."""
    projection = model.text_projection
    if projection is None:
        return x
    return torch.as_tensor(projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection)


def is_causal(model: Any) -> bool:
    """Is the text tower open_clip's own, with a causal mask, read at the end mark?"""
    own = type(model) is open_clip.model.CLIP
    return own and model.attn_mask is not None and model.text_pool_type == "argmax"
