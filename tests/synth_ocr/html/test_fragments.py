"""Text boxes of the rendered tree as fragments in device pixels."""

import numpy as np

from qvl.synth_ocr.html.capture import Shot
from qvl.synth_ocr.html.fragments import read_fragments, utf16_slice
from qvl.synth_ocr.html.snapshot import parse_snapshot
from tests.synth_ocr.html.test_snapshot import content

NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


def test_fragment_is_scaled_and_moved_by_the_scroll_offset() -> None:
    shot = Shot(NO_PIXELS, NO_PIXELS, parse_snapshot(content()), {}, {}, [])
    # without frames: the frame's document is not part of this snapshot
    shot.snapshot.documents[0].frames.clear()
    (fragment,) = read_fragments(shot, 2.0)
    assert fragment.text == "hello" and fragment.size == 40.0 and fragment.block == (0, 0) and fragment.upright
    assert fragment.quad[0].tolist() == [2.0, -10.0] and fragment.quad[2].tolist() == [62.0, 10.0]


def test_fragment_when_transformed_follows_the_quad_of_its_line() -> None:
    quad = [0.0, 0.0, 0.0, 30.0, -10.0, 30.0, -10.0, 0.0]
    shot = Shot(NO_PIXELS, NO_PIXELS, parse_snapshot(content()), {12: [quad]}, {}, [])
    shot.snapshot.documents[0].frames.clear()
    (fragment,) = read_fragments(shot, 1.0)
    assert fragment.direction == (0.0, 1.0) and not fragment.upright


def test_slice_counts_utf16_units() -> None:
    assert utf16_slice("plain text", 6, 4) == "text"
    assert utf16_slice("a\U0001f600bc", 3, 2) == "bc"
