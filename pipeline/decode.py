"""Pixels of a file, decoded once for all that look at them: perceptual hash, CLIP, report.

A JPEG is decoded at the smallest of the scales 1, 1/2, 1/4, 1/8 that still has ``side`` pixels on the shorter side; libjpeg
has others in between, but no vector instructions for them: 5/8 takes longer than the whole. Everything else is decoded
whole. Rules, the same everywhere: RGB out; the first frame; transparency over white;
palettes, CMYK and grey converted; 16 bits cut to the upper 8; EXIF orientation is not applied (neither by the model's
reference preprocessing, nor by the sizes that scan stores).
"""

import io
import struct

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

DECODE_VERSION = 2
SIDE = 448  # twice what most models take; the same with and without CLIP, so that hashes agree
BAD_PIXELS = "unreadable:bad_pixels"
WHITE = (255, 255, 255)
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    IndexError,
    KeyError,
    EOFError,
    Image.DecompressionBombError,
)

Pixels = npt.NDArray[np.uint8]


class PixelError(Exception):
    """The file has a header, but no picture can be decoded from it."""


def decode(data: bytes | memoryview, side: int = SIDE) -> Image.Image:
    """RGB picture whose shorter side has at least ``side`` pixels, or all that the file has. Raises PixelError."""
    return Image.fromarray(decode_pixels(data, side))


def decode_pixels(data: bytes | memoryview, side: int = SIDE) -> Pixels:
    """The same as an array [height, width, 3]. Raises PixelError."""
    try:
        if data[:3] == b"\xff\xd8\xff":
            scaled = _scaled_jpeg(data, side)
            if scaled is not None:
                return scaled
        return np.asarray(_whole(data))
    except UNREADABLE as error:
        raise PixelError(f"{type(error).__name__}: {error}") from None


def _scaled_jpeg(data: bytes | memoryview, side: int) -> Pixels | None:
    """None where libjpeg-turbo does not convert the colours itself (CMYK), or objects to what Pillow may accept."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "RGB", "Gray"):
            return None
        part = 1
        while part < 8 and min(height, width) >= 2 * part * side:
            part *= 2
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=-(-height // part), min_width=-(-width // part))
    except ValueError:
        return None
    return pixels


def _whole(data: bytes | memoryview) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return opaque(image)


def opaque(image: Image.Image) -> Image.Image:
    """The picture in RGB, transparency over white."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGB", image.size, WHITE)
        white.paste(layered, mask=layered.getchannel("A"))
        return white
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper 8 bits of 16; a float image counts as 0..255."""
    values = np.asarray(image)
    levels = values if image.mode == "F" else values.astype(np.int64) >> 8
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
