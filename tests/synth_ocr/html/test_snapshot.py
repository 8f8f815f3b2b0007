"""The rendered tree as typed records."""

from typing import Any

from qvl.synth_ocr.html.snapshot import STYLES, LayoutNode, TextBox, parse_snapshot

STYLE = list(range(1, 1 + len(STYLES)))


def content() -> dict[str, Any]:
    """A document with one block that holds a text and a frame."""
    values = ["block", "none", "horizontal-tb", "20px", "none", "serif", "border-box", "clip", "none"]
    return {
        "strings": ["hello", *values],
        "documents": [{
            "scrollOffsetX": 0, "scrollOffsetY": 7,
            "nodes": {"parentIndex": [-1, 0, 0], "backendNodeId": [11, 12, 13],
                      "contentDocumentIndex": {"index": [2], "value": [1]}},
            "layout": {"nodeIndex": [0, 1], "styles": [STYLE, []], "text": [-1, 0]},
            "textBoxes": {"layoutIndex": [1], "bounds": [[1.0, 2.0, 30.0, 10.0]], "start": [0], "length": [5]},
        }],
    }  # fmt: skip


def test_snapshot_when_parsed_has_nodes_texts_boxes_and_frames() -> None:
    (tree,) = parse_snapshot(content()).documents
    assert tree.scroll == (0.0, 7.0) and tree.parents == [-1, 0, 0] and tree.frames == [(2, 1)]
    assert tree.layout == [LayoutNode(0, STYLE, None), LayoutNode(1, [], "hello")]
    assert tree.boxes == [TextBox(1, (1.0, 2.0, 30.0, 10.0), 0, 5)]
    assert tree.styles() == {0: STYLE}


def test_snapshot_knows_all_values_of_a_style() -> None:
    snapshot = parse_snapshot(content())
    assert snapshot.values("display") == {"block"} and snapshot.values("font-family") == {"serif"}
