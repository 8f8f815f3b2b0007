"""Formats by their bytes."""

from qvl.pipeline.filters.image_format import ImageFormat
from tests.pipeline.filters.judging import kept


def test_formats_that_every_reader_opens() -> None:
    found = kept(ImageFormat(), format=["jpeg", "png", "webp", "gif", "tiff", "avif", None])
    assert found == [True, True, True, False, False, False, False]


def test_the_recipe_names_them() -> None:
    assert kept(ImageFormat(allowed=("gif",)), format=["gif", "jpeg", None]) == [True, False, False]
