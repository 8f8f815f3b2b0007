"""The rendered tree's text boxes as fragments in device pixels, in document order."""

from dataclasses import dataclass

import numpy as np

from qvl.synth_ocr.html.capture import NOT_LAID_OUT, Shot
from qvl.synth_ocr.html.snapshot import DISPLAY, FONT_SIZE, WRITING_MODE, DocumentTree, Styles, TextBox
from qvl.synth_ocr.page.geometry import Points, rect_quad

INLINE = ("inline", "contents", "ruby", "")


@dataclass(frozen=True)
class Fragment:
    """Text of one node on one line. ``block``: document and node of its nearest block. ``size``: of the font, pixels."""

    text: str
    quad: Points
    block: tuple[int, int]
    size: float
    direction: tuple[float, float]
    upright: bool


def read_fragments(shot: Shot, scale: float) -> list[Fragment]:
    """Every text box of every document. Not all of them can be seen."""
    origins = _document_origins(shot)
    found: list[Fragment] = []
    for number, tree in enumerate(shot.snapshot.documents):
        if number in origins:
            found += _document_fragments(number, tree, origins[number], shot, scale)
    return found


def _document_origins(shot: Shot) -> dict[int, tuple[float, float]]:
    """The position of each document's (0, 0) in the viewport, in CSS pixels."""
    documents = shot.snapshot.documents
    first_x, first_y = documents[0].scroll
    origins = {0: (-first_x, -first_y)}
    for tree in documents:
        for node, inner in tree.frames:
            x, y = shot.frames.get(tree.backend_ids[node], NOT_LAID_OUT)
            scroll_x, scroll_y = documents[inner].scroll
            origins[inner] = (x - scroll_x, y - scroll_y)
    return origins


def _document_fragments(
    number: int, tree: DocumentTree, origin: tuple[float, float], shot: Shot, scale: float
) -> list[Fragment]:
    strings, styles = shot.snapshot.strings, tree.styles()
    found, lines = list[tuple[int, int, Fragment]](), dict[int, int]()
    for box in tree.boxes:
        laid_out = tree.layout[box.layout]
        node = laid_out.node
        line = lines[node] = lines.get(node, -1) + 1
        text = utf16_slice(laid_out.text or "", box.start, box.length)
        if not text.strip():
            continue
        style = styles.get(node) or styles.get(tree.parents[node]) or []
        size = _font_size(style, strings) * scale
        block = number, _block(node, tree.parents, styles, strings)
        quads = shot.quads.get(tree.backend_ids[node])
        if quads and line < len(quads):
            fragment = _turned(text, np.array(quads[line], float).reshape(4, 2) * scale, block, size)
        else:
            mode = strings[style[WRITING_MODE]] if style else "horizontal-tb"
            down = mode.startswith(("vertical", "sideways"))
            quad = _box_quad(box, origin, scale)
            fragment = Fragment(text, quad, block, size, (0.0, 1.0) if down else (1.0, 0.0), True)
        found.append((box.layout, box.start, fragment))
    # the boxes of right-to-left text come in visual order, from left to right
    return [fragment for _, _, fragment in sorted(found, key=lambda each: each[:2])]


def _font_size(style: Styles, strings: list[str]) -> float:
    """The font size in CSS pixels."""
    text = strings[style[FONT_SIZE]] if style else "16px"
    return float(text.removesuffix("px") or 16)


def _turned(text: str, quad: Points, block: tuple[int, int], size: float) -> Fragment:
    """A fragment that a transform turned, along the first side of its quad."""
    step = quad[1] - quad[0]
    length = float(np.hypot(*step)) or 1.0
    return Fragment(text, quad, block, size, (float(step[0]) / length, float(step[1]) / length), False)


def _box_quad(box: TextBox, origin: tuple[float, float], scale: float) -> Points:
    """A text box in device pixels of the viewport."""
    x, y, width, height = box.bounds
    return rect_quad((
        (x + origin[0]) * scale, (y + origin[1]) * scale, (x + origin[0] + width) * scale,
        (y + origin[1] + height) * scale,
    ))  # fmt: skip


def utf16_slice(text: str, start: int, length: int) -> str:
    """A part of the text, counted in UTF-16 units as the browser does."""
    if text.isascii():
        return text[start : start + length]
    return text.encode("utf-16-le")[2 * start : 2 * (start + length)].decode("utf-16-le", "replace")


def _block(node: int, parents: list[int], styles: dict[int, Styles], strings: list[str]) -> int:
    """The nearest ancestor that is not an inline box; -1 if there is none."""
    node = parents[node]
    while node >= 0:
        style = styles.get(node)
        if style and strings[style[DISPLAY]] not in INLINE:
            return node
        node = parents[node]
    return -1
