"""A small image from an untrusted file, or the reason why there is none. The header is checked before pixels are decoded."""

import base64
import io
import struct
import warnings

import numpy as np
from PIL import Image, ImageOps

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.header import HeaderError, read_header

SIDE = 160
MAX_BYTES = 20_000_000
MAX_PIXELS = 40_000_000
QUALITY = 74
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
DECODE_ERRORS = (
    OSError, ValueError, SyntaxError, TypeError, LookupError, ArithmeticError, EOFError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip

# why a row of a finished output has no thumbnail
DELETED = "not shown: the picture has been deleted since the scan"
CHANGED = "not shown: the picture has changed since the scan"
REMOTE = "not shown: the picture is in a remote file"
NO_PICTURE = "no picture in the source"


class NoThumbnail(DataError):
    """No thumbnail can be shown. The message gives the reason to the reader of the report."""


def refuse(size: int, width: int, height: int) -> None:
    """Raise NoThumbnail if a file is too large to decode: ``size`` in bytes, sides in pixels as stated by the header."""
    if size > MAX_BYTES:
        raise NoThumbnail(f"not decoded: a file of {size / 1e6:,.0f} MB")
    if width * height > MAX_PIXELS:
        raise NoThumbnail(f"not decoded: claims {width:,} × {height:,} pixels")


def thumbnail(data: bytes | memoryview) -> str:
    """A WebP data URI of at most SIDE pixels, with EXIF orientation applied and transparency kept. Raises NoThumbnail."""
    return f"data:image/webp;base64,{base64.b64encode(webp(data, SIDE)).decode()}"


def webp(data: bytes | memoryview, side: int) -> bytes:
    """A WebP of at most ``side`` pixels, with EXIF orientation applied and transparency kept. Raises NoThumbnail."""
    try:
        header = read_header(data)
    except HeaderError as error:
        raise NoThumbnail(f"not readable: {str(error).replace('_', ' ')}") from None
    refuse(len(data), header.width, header.height)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _encode(_small(data, side))
    except DECODE_ERRORS:
        raise NoThumbnail(f"not shown: this {header.format} cannot be decoded") from None


def _small(data: bytes | memoryview, side: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        refuse(len(data), *image.size)
        image.draft("RGB", (side, side))
        if image.mode.startswith("I"):
            small = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        else:
            has_alpha = "A" in image.mode or "transparency" in image.info
            small = image.convert("RGBA" if has_alpha else "RGB")
        orientation = image.getexif().get(0x0112)
    small.thumbnail((side, side))
    if orientation in range(2, 9):
        small.getexif()[0x0112] = orientation
        return ImageOps.exif_transpose(small)
    return small


def _encode(image: Image.Image) -> bytes:
    target = io.BytesIO()
    image.save(target, "WEBP", quality=QUALITY, method=4)
    return target.getvalue()
