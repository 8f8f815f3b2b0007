"""Images as they are sent."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from qvl.pipeline.images.decode import PixelError
from qvl.pipeline.recipe.speakers import SentImage
from qvl.pipeline.speakers.picture import data_url
from tests.pipeline.samples import encoded, jpeg, picture


def sent(data: bytes, **settings: Any) -> Image.Image:
    head, _, text = data_url(data, SentImage(**settings)).partition(",")
    assert head == f"data:image/{settings.get('format', 'jpeg')};base64"
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 100), (64, 21)), ((100, 300), (21, 64)), ((40, 30), (40, 30)), ((4000, 3), (64, 1))]
)
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_longer_side_is_reduced_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int], kind: str) -> None:
    assert sent(encoded(picture(*size), kind), max_side=64).size == expected


def test_full_size_and_png_keep_every_pixel() -> None:
    image = sent(encoded(picture(333, 111), "png"), max_side=None, format="png")
    assert image.tobytes() == picture(333, 111).tobytes()


def test_large_jpeg_keeps_its_size_where_no_side_is_set() -> None:
    assert sent(jpeg(1, 2000, 1500), max_side=None).size == (2000, 1500)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_every_mode_is_sent_as_rgb(mode: str) -> None:
    kind = "jpeg" if mode == "CMYK" else "png"
    assert sent(encoded(picture(mode="RGB").convert(mode), kind)).mode == "RGB"


def test_broken_image_raises() -> None:
    with pytest.raises(PixelError):
        data_url(jpeg()[:200], SentImage())
