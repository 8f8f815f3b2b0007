"""Formats by their bytes."""

from qvl.pipeline.filters.image_format import ImageFormat
from tests.pipeline.filters.judging import kept


def test_by_default_jpeg_png_and_webp_pass() -> None:
    found = kept(ImageFormat(), format=["jpeg", "png", "webp", "gif", "tiff", "avif", None])
    assert found == [True, True, True, False, False, False, False]


def test_only_the_formats_of_the_recipe_pass() -> None:
    assert kept(ImageFormat(allowed=("gif",)), format=["gif", "jpeg", None]) == [True, False, False]
