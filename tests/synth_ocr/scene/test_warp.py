"""The ink of a document in its final geometry."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from qvl.synth_ocr.page.geometry import heading, iou, tight_quad
from qvl.synth_ocr.scene.render import render_scene
from tests.synth_ocr.scene.scenes import generator, stock

STILL = {
    "elastic_alpha": (0, 0), "noise_scale": (0, 0), "rgb": 0, "shadow_intensity": (0, 0), "contrast_alpha": (1, 1),
    "brightness_beta": (0, 0), "motion_blur": 0, "gaussian_blur": (0, 0),
}  # fmt: skip


@pytest.mark.parametrize("index", range(6))
def test_quads_when_the_paper_is_bent_and_placed_surround_the_ink(tmp_path: Path, index: int) -> None:
    canvas = {"fullscreen": 0, "paper_alpha": (0, 0), "short_size": (900, 900), "document_short_size": (500, 700)}
    layout = {"kinds": {"sign": 1.0}, "textbox_color": 0, "content_color": 0}
    material = stock(tmp_path, "en", effects=STILL, canvas=canvas, layout=layout)
    page = render_scene(material, generator(index))
    dark = page.image.max(axis=2) < 100
    everywhere = np.zeros(dark.shape, np.uint8)
    for line in page.lines:
        grown = line.quad + np.sign(line.quad - line.quad.mean(axis=0)) * 3
        inside = np.zeros(dark.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.round(grown).astype(np.int32), 1)
        found = tight_quad(dark & (inside > 0), 0, 0, heading(line.quad))
        assert found is not None and iou(found, line.quad) > 0.88
        everywhere |= inside
    assert page.lines and not (dark & (everywhere == 0)).any()
