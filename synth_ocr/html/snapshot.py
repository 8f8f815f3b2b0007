"""The rendered tree that Chromium's DOMSnapshot.captureSnapshot describes, as typed records.

The protocol stores trees as parallel arrays and texts as indices into one table of strings. This module reads the JSON.
"""

from dataclasses import dataclass
from typing import Any

STYLES = (
    "display", "transform", "writing-mode", "font-size", "rotate", "font-family", "background-clip", "text-overflow",
    "-webkit-line-clamp",
)  # fmt: skip
DISPLAY, TRANSFORM, WRITING_MODE, FONT_SIZE, ROTATE, FONT_FAMILY = range(6)  # positions in ``LayoutNode.styles``
Styles = list[int]  # one string index for each of STYLES


@dataclass(frozen=True, slots=True)
class LayoutNode:
    """A node that is laid out. ``styles`` is empty for text, which has those of its parent. ``text``: None for elements."""

    node: int
    styles: Styles
    text: str | None


@dataclass(frozen=True, slots=True)
class TextBox:
    """The part of a node's text on one line: UTF-16 units ``start`` to ``start + length``, bounds in CSS pixels."""

    layout: int  # index of the layout node
    bounds: tuple[float, float, float, float]  # x, y, width, height
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class DocumentTree:
    """One document, the page's own or that of a frame."""

    scroll: tuple[float, float]
    parents: list[int]  # by node; -1 for the root
    backend_ids: list[int]  # by node
    frames: list[tuple[int, int]]  # node of the frame's element, index of its document
    layout: list[LayoutNode]
    boxes: list[TextBox]

    def styles(self) -> dict[int, Styles]:
        """The computed styles by node, without the nodes that have none."""
        return {each.node: each.styles for each in self.layout if each.styles}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All documents of a tab, the page's own first."""

    documents: list[DocumentTree]
    strings: list[str]

    def values(self, style: str) -> set[str]:
        """All values of one of STYLES in all documents."""
        position = STYLES.index(style)
        numbers = {node.styles[position] for tree in self.documents for node in tree.layout if node.styles}
        return {self.strings[number] for number in numbers}


def parse_snapshot(content: dict[str, Any]) -> Snapshot:
    """The answer of DOMSnapshot.captureSnapshot, asked for STYLES."""
    strings: list[str] = content["strings"]
    return Snapshot([_document(each, strings) for each in content["documents"]], strings)


def _document(content: dict[str, Any], strings: list[str]) -> DocumentTree:
    nodes, layout, boxes = content["nodes"], content["layout"], content["textBoxes"]
    frames = nodes["contentDocumentIndex"]
    return DocumentTree(
        (float(content["scrollOffsetX"]), float(content["scrollOffsetY"])),
        nodes["parentIndex"],
        nodes["backendNodeId"],
        list(zip(frames["index"], frames["value"], strict=True)),
        [
            LayoutNode(node, styles, strings[text] if text >= 0 else None)
            for node, styles, text in zip(layout["nodeIndex"], layout["styles"], layout["text"], strict=True)
        ],
        [
            TextBox(node, (bounds[0], bounds[1], bounds[2], bounds[3]), start, length)
            for node, bounds, start, length in zip(
                boxes["layoutIndex"], boxes["bounds"], boxes["start"], boxes["length"], strict=True
            )
        ],
    )
