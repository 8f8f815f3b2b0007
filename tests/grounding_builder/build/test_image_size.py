"""Annotations and image files that agree about the size, and those that do not."""

from qvl.grounding_builder.build.image_size import disagreement
from qvl.pipeline.images.picture import Picture, picture
from tests.grounding_builder.helpers import jpeg


def test_disagreement_names_the_reason_when_sizes_differ() -> None:
    found, turned = picture(jpeg(400, 200)), picture(jpeg(400, 200, orientation=6))
    square = picture(jpeg(256, 256))
    assert isinstance(found, Picture) and isinstance(turned, Picture) and isinstance(square, Picture)
    assert disagreement(found, (400, 200), scaled=False) is None
    assert disagreement(found, (200, 400), scaled=False) == "size_mismatch"
    assert disagreement(found, (800, 400), scaled=False) == "size_mismatch"
    assert disagreement(found, (801, 400), scaled=True) is None
    assert disagreement(found, (800, 500), scaled=True) == "size_mismatch"
    assert disagreement(found, (800, 0), scaled=True) == "size_mismatch"
    assert disagreement(square, (800, 400), scaled=True) == "padded_or_cropped"
    assert disagreement(turned, (400, 200), scaled=False) == "exif_rotated"
    assert disagreement(turned, (200, 400), scaled=False) == "exif_rotated"
    assert picture(b"<html>") == "unreadable:not_an_image"
