"""Thumbnails of the kinds of files that people store, and the reasons for files that must not be decoded."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from qvl.pipeline.images.thumbnail import MAX_PIXELS, SIDE, NoThumbnail, refuse, thumbnail
from tests.pipeline.samples import encoded, jpeg, picture


def opened(uri: str) -> Image.Image:
    kind, data = uri.split(",", 1)
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_thumbnail_shows_a_jpeg_of_any_mode(mode: str) -> None:
    assert opened(thumbnail(encoded(picture(300, 200, mode), "jpeg"))).size == (SIDE, 107)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_thumbnail_when_a_png_is_transparent_keeps_the_transparency(mode: str) -> None:
    shown = opened(thumbnail(encoded(picture(30, 20, mode), "png")))
    assert shown.size == (30, 20)
    assert shown.mode == ("RGBA" if mode in ("RGBA", "LA", "P") else "RGB")


def test_thumbnail_when_grey_has_16_bits_scales_it_instead_of_clipping() -> None:
    ramp = Image.frombytes("I;16", (256, 4), b"".join(struct.pack("<H", 257 * (i % 256)) for i in range(1024)))
    shown = opened(thumbnail(encoded(ramp, "png"))).convert("L")
    values = np.asarray(shown)
    assert values[1, 2] < 30 and values[1, -3] > 225


def test_thumbnail_applies_the_exif_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (60, 40), "red")
    image.paste("blue", (30, 0, 60, 40))
    shown = opened(thumbnail(encoded(image, "jpeg", exif=exif))).convert("RGB")
    assert shown.size == (40, 60)
    top, bottom = shown.getpixel((20, 5)), shown.getpixel((20, 55))
    assert isinstance(top, tuple) and isinstance(bottom, tuple)
    assert top[0] > 150 and bottom[2] > 150


def test_thumbnail_when_the_image_is_animated_shows_the_first_frame() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    shown = opened(thumbnail(encoded(frames[0], "gif", save_all=True, append_images=frames[1:]))).convert("RGB")
    pixel = shown.getpixel((10, 10))
    assert isinstance(pixel, tuple) and pixel[0] > 150


def bomb(side: int) -> bytes:
    """A PNG whose header claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (bomb(60_000), "claims 60,000 × 60,000 pixels"),
        (bomb(300), "this png cannot be decoded"),
        (b"", "not readable: empty"),
        (b"<html>not found</html>", "not readable: not an image"),
        (jpeg(1, 200, 200)[:900], "not readable: truncated"),
        (encoded(picture(20, 20), "tiff"), "this tiff cannot be decoded"),
    ],
)
def test_thumbnail_when_a_file_cannot_be_shown_raises_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(NoThumbnail, match=why):
        thumbnail(data)


def test_refuse_when_a_file_is_too_large_raises() -> None:
    refuse(1000, 4000, MAX_PIXELS // 4000)
    with pytest.raises(NoThumbnail, match="a file of 30 MB"):
        refuse(30_000_000, 10, 10)
