"""The rendered tree's text boxes as fragments in device pixels, in document order."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from qvl.synth_ocr.html.capture import Shot
from qvl.synth_ocr.page.geometry import Points, rect_quad

INLINE = ("inline", "contents", "ruby", "")


@dataclass
class Fragment:
    """Text of one node on one line. ``block``: its nearest block, the paragraph. ``size``: of the font, device pixels."""

    text: str
    quad: Points
    block: tuple[int, int]
    size: float
    direction: tuple[float, float]
    upright: bool


def fragments(shot: Shot, scale: float) -> list[Fragment]:
    """Every text box of every document; not all of them can be seen."""
    snapshot = shot.snapshot
    origins = _origins(shot)
    found: list[Fragment] = []
    for number, document in enumerate(snapshot["documents"]):
        if number in origins:
            found += _of_document(number, document, snapshot["strings"], origins[number], shot, scale)
    return found


def _origins(shot: Shot) -> dict[int, tuple[float, float]]:
    """Where each document's (0, 0) lies in the viewport, CSS pixels."""
    documents = shot.snapshot["documents"]
    first = documents[0]
    origins = {0: (-float(first["scrollOffsetX"]), -float(first["scrollOffsetY"]))}
    for document in documents:
        nodes = document["nodes"]
        held = nodes["contentDocumentIndex"]
        for node, inner in zip(held["index"], held["value"], strict=True):
            x, y = shot.frames.get(nodes["backendNodeId"][node], (-1e6, -1e6))
            offset = documents[inner]
            origins[inner] = (x - offset["scrollOffsetX"], y - offset["scrollOffsetY"])
    return origins


def _of_document(
    number: int, document: dict[str, Any], strings: list[str], origin: tuple[float, float], shot: Shot, scale: float
) -> list[Fragment]:
    nodes, layout, boxes = document["nodes"], document["layout"], document["textBoxes"]
    styles = {node: style for node, style in zip(layout["nodeIndex"], layout["styles"], strict=True) if style}
    found, seen = list[tuple[int, int, Fragment]](), dict[int, int]()
    for place, bounds, start, length in zip(
        boxes["layoutIndex"], boxes["bounds"], boxes["start"], boxes["length"], strict=True
    ):
        node = layout["nodeIndex"][place]
        order = seen[node] = seen.get(node, -1) + 1
        text = _slice(strings[layout["text"][place]], start, length)
        if not text.strip():
            continue
        style = styles.get(node) or styles.get(nodes["parentIndex"][node]) or []
        sizes = strings[style[3]] if style else "16px"
        size = float(sizes.removesuffix("px") or 16) * scale
        mode = strings[style[2]] if style else "horizontal-tb"
        x, y, width, height = bounds
        rect = ((x + origin[0]) * scale, (y + origin[1]) * scale, (x + origin[0] + width) * scale,
                (y + origin[1] + height) * scale)  # fmt: skip
        turned = shot.quads.get(nodes["backendNodeId"][node])
        block = number, _block(node, nodes["parentIndex"], styles, strings)
        if turned and order < len(turned):
            quad = np.array(turned[order], float).reshape(4, 2) * scale
            step = quad[1] - quad[0]
            size_along = float(np.hypot(*step)) or 1.0
            heading = float(step[0]) / size_along, float(step[1]) / size_along
            fragment = Fragment(text, quad, block, size, heading, False)
        else:
            down = mode.startswith(("vertical", "sideways"))
            fragment = Fragment(text, rect_quad(rect), block, size, (0.0, 1.0) if down else (1.0, 0.0), True)
        found.append((place, start, fragment))
    # text that runs to the left comes as it stands, from left to right
    return [fragment for _, _, fragment in sorted(found, key=lambda each: each[:2])]


def _slice(text: str, start: int, length: int) -> str:
    """A part by UTF-16 units, as the browser counts."""
    if text.isascii():
        return text[start : start + length]
    return text.encode("utf-16-le")[2 * start : 2 * (start + length)].decode("utf-16-le", "replace")


def _block(node: int, parents: list[int], styles: dict[int, list[int]], strings: list[str]) -> int:
    """The nearest ancestor that is no inline box."""
    node = parents[node]
    while node >= 0:
        style = styles.get(node)
        if style and strings[style[0]] not in INLINE:
            return node
        node = parents[node]
    return -1
