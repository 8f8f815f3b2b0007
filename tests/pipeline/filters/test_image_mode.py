"""Pixel layouts."""

from qvl.pipeline.filters.image_mode import ImageMode
from tests.pipeline.filters.judging import kept


def test_sixteen_bits_do_not_pass() -> None:
    modes = ["RGB", "L", "CMYK", "PA", "L;16", "RGB;16", None]
    assert kept(ImageMode(), mode=modes) == [True, True, True, True, False, False, False]


def test_the_recipe_names_them() -> None:
    assert kept(ImageMode(allowed=("RGB",)), mode=["RGB", "CMYK"]) == [True, False]
