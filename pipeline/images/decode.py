"""Pixels of a file, decoded once for all that look at them: perceptual hash, CLIP, report.

A JPEG is decoded at the smallest of the scales 1, 1/2, 1/4, 1/8 that still has ``side`` pixels on the shorter side; libjpeg
has others in between, but no vector instructions for them: 5/8 takes longer than the whole. Everything else is decoded
whole. Colours that a JPEG has at half the size are doubled, not interpolated: hardly seen on a picture that is made smaller
afterwards, and a tenth of the time (benchmarks/results/clip.md). Rules, the same everywhere: RGB out; the first frame;
transparency over white; palettes, CMYK and grey converted; 16 bits cut to the upper 8; EXIF orientation is not applied
(neither by the model's reference preprocessing, nor by the sizes that scan stores).
"""

import io
import struct
import warnings

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

DECODE_VERSION = 3
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

# Pillow warns from its bound on and refuses from twice that; a refusal is a verdict of the row, a warning is nobody's
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class PixelError(Exception):
    """The file has a header, but no picture can be decoded from it."""


class Scratch:
    """Memory for one picture, again and again: the kernel's clearing of fresh pages costs a quarter of a decode.

    The next picture overwrites the last one. Pictures of more than ``MOST`` bytes get memory of their own.
    """

    MOST = 1 << 25

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)

    def room(self, size: int) -> npt.NDArray[np.uint8] | None:
        """At least ``size`` bytes, or None where that is too much to hold on to."""
        if size > self.MOST:
            return None
        if size > len(self.memory):
            self.memory = np.empty(size, np.uint8)
        return self.memory


def decode(data: bytes | memoryview, side: int = SIDE) -> Image.Image:
    """RGB picture whose shorter side has at least ``side`` pixels, or all that the file has. Raises PixelError."""
    return Image.fromarray(decode_pixels(data, side))


def decode_pixels(data: bytes | memoryview, side: int = SIDE) -> Pixels:
    """The same as an array [height, width, 3]. Raises PixelError."""
    return decode_scaled(data, side)[0]


def decode_scaled(
    data: bytes | memoryview, side: int = SIDE, scratch: Scratch | None = None
) -> tuple[Pixels, tuple[int, int]]:
    """The same, in ``scratch`` where it is given and fits, and height and width of the whole picture."""
    try:
        if data[:3] == b"\xff\xd8\xff":
            scaled = _scaled_jpeg(data, side, scratch)
            if scaled is not None:
                return scaled
        whole = np.asarray(_whole(data))
        return whole, whole.shape[:2]
    except UNREADABLE as error:
        raise PixelError(f"{type(error).__name__}: {error}") from None


def _scaled_jpeg(data: bytes | memoryview, side: int, scratch: Scratch | None) -> tuple[Pixels, tuple[int, int]] | None:
    """None where libjpeg-turbo does not convert the colours itself (CMYK), or objects to what Pillow may accept."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "RGB", "Gray"):
            return None
        part = 1
        while part < 8 and min(height, width) >= 2 * part * side:
            part *= 2
        least = -(-height // part), -(-width // part)
        memory = scratch.room(3 * least[0] * least[1]) if scratch else None
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=least[0], min_width=least[1], fastupsample=True, buffer=memory
        )
    except ValueError:
        return None
    return pixels, (height, width)


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
