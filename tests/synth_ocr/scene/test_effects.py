"""Geometric effects."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qvl.synth_ocr.page.geometry import Points, is_sound, rect_quad
from qvl.synth_ocr.scene import effects


@given(st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=8), st.floats(1, 200), st.floats(1, 60))
def test_rectangle_after_a_homography_is_convex_and_clockwise(bend: list[float], width: float, height: float) -> None:
    corners: Points = np.array([(0, 0), (400, 0), (400, 300), (0, 300)], float) + np.reshape(bend, (4, 2)) * (400, 300)
    matrix = effects.homography(400, 300, corners)
    assert is_sound(effects.transform(rect_quad((5.0, 5.0, 5.0 + width, 5.0 + height)), matrix))
