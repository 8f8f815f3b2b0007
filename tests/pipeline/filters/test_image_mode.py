"""Pixel layouts."""

from qvl.pipeline.filters.image_mode import ImageMode
from tests.pipeline.filters.judging import kept


def test_by_default_sixteen_bit_modes_do_not_pass() -> None:
    modes = ["RGB", "L", "CMYK", "PA", "L;16", "RGB;16", None]
    assert kept(ImageMode(), mode=modes) == [True, True, True, True, False, False, False]


def test_only_the_modes_of_the_recipe_pass() -> None:
    assert kept(ImageMode(allowed=("RGB",)), mode=["RGB", "CMYK"]) == [True, False]
