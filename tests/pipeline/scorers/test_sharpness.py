"""Sharpness and blankness against pictures whose values are known."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from qvl.pipeline.scorers.sharpness import Sharpness, flat_share, grey_levels, laplacian_variance


def measured(image: Image.Image) -> tuple[float, float]:
    return Sharpness().prepare(np.asarray(image.convert("RGB")))


def test_measures_when_a_picture_has_one_colour_are_zero_and_one() -> None:
    assert measured(Image.new("RGB", (300, 200), (90, 20, 200))) == (0.0, 1.0)


def test_sharpness_when_a_picture_is_blurred_more_falls_each_time() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320), np.uint8), "L")
    values = [measured(noise.filter(ImageFilter.GaussianBlur(radius)))[0] for radius in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 100 * values[-1]


def test_sharpness_when_a_picture_is_enlarged_hardly_changes() -> None:
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 320), np.uint8), "L")
    large = small.resize((640, 512), Image.Resampling.NEAREST)
    assert measured(large)[0] == pytest.approx(measured(small)[0])


def test_laplacian_variance_when_computed_with_a_convolution_agrees() -> None:
    cv2 = pytest.importorskip("cv2")
    grey = grey_levels(np.random.default_rng(1).integers(0, 256, (90, 70, 3), np.uint8))
    reference = cv2.Laplacian(grey.astype(np.float64), cv2.CV_64F)[1:-1, 1:-1].var()
    assert laplacian_variance(grey) == pytest.approx(reference)


def test_flat_share_when_half_of_a_picture_is_empty_is_a_half() -> None:
    grey = np.zeros((64, 64), np.float32)
    grey[:, ::2] = 255
    grey[:, 32:] = 9
    assert flat_share(grey) == 0.5


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (900, 2), (7, 7)])
def test_measures_when_a_picture_is_tiny_are_numbers(shape: tuple[int, int]) -> None:
    sharpness, blank = Sharpness().prepare(np.zeros((*shape, 3), np.uint8))
    assert (sharpness, blank) == (0.0, 1.0)
