"""Dialects: how a model writes phrases, boxes and quads as text (paper, Box B.1).

Boxes go in as fractions of the image's width and height. Dialects: ``qwen-vl`` (0..999, the default), ``qwen2-vl``
(0..1000, other tokens), ``qwen2.5-vl`` (pixels of the resized image, JSON), ``kosmos-2`` (32 x 32 location tokens),
``shikra`` (decimals on the padded square). ``qwen2.5-vl`` and ``shikra`` depend on the image's size in pixels.
``qvl.pipeline.markup.parsing`` reads what this module writes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qvl.pipeline.markup.coordinates import (
    QWEN2_VL_SCALE,
    QWEN_VL_SCALE,
    Box,
    Quad,
    Size,
    box_cells,
    kosmos_indices,
    resized,
    to_cell,
    to_square,
)

Dialect = Literal["qwen-vl", "qwen2-vl", "qwen2.5-vl", "kosmos-2", "shikra"]
QWEN_VL: Dialect = "qwen-vl"
DIALECTS: tuple[Dialect, ...] = ("qwen-vl", "qwen2-vl", "qwen2.5-vl", "kosmos-2", "shikra")
SCALES: dict[Dialect, int] = {"qwen-vl": QWEN_VL_SCALE, "qwen2-vl": QWEN2_VL_SCALE}

QUAD_BLANK = ""  # before every corner of a quad; notes on the paper differ (3 tokens more with a blank)


@dataclass(frozen=True, slots=True)
class Tags:
    """The opening and closing tags of a dialect that writes tags."""

    ref: tuple[str, str]
    box: tuple[str, str]
    quad: tuple[str, str]


TAGS: dict[Dialect, Tags] = {
    "qwen-vl": Tags(("<ref>", "</ref>"), ("<box>", "</box>"), ("<quad>", "</quad>")),
    "qwen2-vl": Tags(
        ("<|object_ref_start|>", "<|object_ref_end|>"),
        ("<|box_start|>", "<|box_end|>"),
        ("<|quad_start|>", "<|quad_end|>"),
    ),
}


def ref(text: str, dialect: Dialect = QWEN_VL) -> str:
    """A phrase in its tags, before its boxes. ``qwen2.5-vl`` has none: there the whole is JSON, see ``grounded``."""
    if dialect in TAGS:
        return f"{TAGS[dialect].ref[0]}{text}{TAGS[dialect].ref[1]}"
    return f"<phrase>{text}</phrase>" if dialect == "kosmos-2" else text


def box(b: Box, dialect: Dialect = QWEN_VL, size: Size | None = None) -> str:
    """A box in its tags. A side that collapses on the grid becomes one cell; swapped corners raise ValueError."""
    tags = TAGS.get(dialect)
    if tags is not None:
        x1, y1, x2, y2 = box_cells(b, SCALES[dialect], SCALES[dialect])
        return f"{tags.box[0]}({x1},{y1}),({x2},{y2}){tags.box[1]}"
    if dialect == "kosmos-2":
        first, last = kosmos_indices(b)
        return f"<object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    if dialect == "shikra":
        return "[" + ",".join(f"{value:.3f}" for value in to_square(b, required_size(size, dialect))) + "]"
    return json.dumps({"bbox_2d": list(box_cells(b, *resized(*required_size(size, dialect))))})


def quad(q: Quad, dialect: Dialect = QWEN_VL) -> str:
    """Four corners in their tags. Raises ValueError for a dialect without quads."""
    if dialect not in TAGS:
        raise ValueError(f"{dialect} has no quads")
    cells = [to_cell(value, SCALES[dialect]) for value in q]
    corners = ",".join(f"{QUAD_BLANK}({x},{y})" for x, y in zip(cells[::2], cells[1::2], strict=True))
    return f"{TAGS[dialect].quad[0]}{corners}{TAGS[dialect].quad[1]}"


def grounded(text: str, boxes: Sequence[Box], dialect: Dialect = QWEN_VL, size: Size | None = None) -> str:
    """A phrase and all its boxes, as a model of the dialect writes them."""
    written = [box(b, dialect, size) for b in boxes]
    if dialect in TAGS:
        return ref(text, dialect) + "".join(written)
    if dialect == "kosmos-2":
        inner = [w.removeprefix("<object>").removesuffix("</object>") for w in written]
        return f"{ref(text, dialect)}<object>{'</delimiter_of_multi_objects/>'.join(inner)}</object>"
    if dialect == "shikra":
        return f"{text}[{';'.join(w[1:-1] for w in written)}]"
    return json.dumps([{**json.loads(w), "label": text} for w in written], ensure_ascii=False)


def required_size(size: Size | None, dialect: Dialect) -> Size:
    """The image's size, which this dialect needs. Raises ValueError if it is missing."""
    if size is None:
        raise ValueError(f"{dialect} depends on the image's size; pass size=(width, height)")
    return size
