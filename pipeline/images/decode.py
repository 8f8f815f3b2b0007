"""The pixels of an image file, decoded once for all their users: perceptual hash, CLIP and report.

A JPEG is decoded at the smallest of the scales 1, 1/2, 1/4 and 1/8 that leaves at least ``side`` pixels on the shorter side.
libjpeg has scales in between, but no vector instructions for them: 5/8 takes longer than full size. All other formats are
decoded at full size. Subsampled JPEG colours are doubled, not interpolated: that is hardly visible in an image that is
resized afterwards, and saves 5 to 10% of the time (benchmarks/results/clip.md).

The result is always RGB: the first frame; transparency over white; palettes, CMYK and grey converted; 16 bits cut to the
upper 8. EXIF orientation is not applied, because the model's reference preprocessing and the sizes that scan stores do not
apply it either.
"""

import io
import struct
import warnings

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

DECODE_VERSION = 3
SIDE = 448  # twice the input size of most models; the same with and without CLIP, so that hashes are equal
BAD_PIXELS = "unreadable:bad_pixels"
JPEG_START = b"\xff\xd8\xff"
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

# Pillow warns above its limit and raises above twice the limit: the error becomes the row's verdict, the warning is noise
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class PixelError(Exception):
    """The file has a header, but its pixels cannot be decoded."""


class Scratch:
    """Memory that is reused for one image after another: zeroing fresh pages takes the kernel a quarter of a decode.

    The next image overwrites the one before. Images of more than ``MAX_BYTES`` get memory of their own.
    """

    MAX_BYTES = 1 << 25

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)

    def room(self, size: int) -> npt.NDArray[np.uint8] | None:
        """At least ``size`` bytes, or None if that is too much to keep."""
        if size > self.MAX_BYTES:
            return None
        if size > len(self.memory):
            self.memory = np.empty(size, np.uint8)
        return self.memory


def decode(data: bytes | memoryview, side: int = SIDE) -> Image.Image:
    """RGB image whose shorter side has at least ``side`` pixels, or as many as the file has. Raises PixelError."""
    return Image.fromarray(decode_pixels(data, side))


def decode_pixels(data: bytes | memoryview, side: int = SIDE) -> Pixels:
    """The result of ``decode`` as an array [height, width, 3]. Raises PixelError."""
    return decode_scaled(data, side)[0]


def decode_scaled(
    data: bytes | memoryview, side: int = SIDE, scratch: Scratch | None = None
) -> tuple[Pixels, tuple[int, int]]:
    """The result of ``decode_pixels``, and (height, width) of the file. Decodes into ``scratch`` if the image fits.

    Raises PixelError.
    """
    try:
        if data[:3] == JPEG_START:
            scaled = _scaled_jpeg(data, side, scratch)
            if scaled is not None:
                return scaled
        pixels = np.asarray(_full_size(data))
        return pixels, pixels.shape[:2]
    except UNREADABLE as error:
        raise PixelError(f"{type(error).__name__}: {error}") from None


def read_only(pixels: Pixels) -> Pixels:
    """The same pixels for a user who must not change them: others use them too."""
    view = pixels.view()
    view.flags.writeable = False
    return view


class DecodedScales:
    """The pixels of one file at the scales that its users need. Each scale is decoded once, and most files need only one."""

    def __init__(self, data: bytes | memoryview, scratch: Scratch | None = None) -> None:
        self.data, self.scratch = data, scratch
        self.known: dict[int, tuple[Pixels, tuple[int, int]]] = {}

    def at(self, side: int) -> tuple[Pixels, tuple[int, int]]:
        """What ``decode_scaled`` returns for this ``side``, whatever else was asked for before. Raises PixelError."""
        for full_size in [size for _, size in self.known.values()][:1]:
            divisor = scale_divisor(full_size, side) if self.data[:3] == JPEG_START else 1
            if divisor in self.known:
                return self.known[divisor]
        found = decode_scaled(self.data, side, self.scratch)
        divisor = scale_divisor(found[1], side) if self.data[:3] == JPEG_START else 1
        self.known[divisor] = found
        return found


def scale_divisor(full_size: tuple[int, int], side: int) -> int:
    """1, 2, 4 or 8: a JPEG of this (height, width) is decoded at the inverse scale if ``side`` pixels are needed."""
    divisor = 1
    while divisor < 8 and min(full_size) >= 2 * divisor * side:
        divisor *= 2
    return divisor


def _scaled_jpeg(data: bytes | memoryview, side: int, scratch: Scratch | None) -> tuple[Pixels, tuple[int, int]] | None:
    """None if libjpeg-turbo cannot convert the colours to RGB (CMYK) or rejects the file; Pillow may still accept it."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "RGB", "Gray"):
            return None
        divisor = scale_divisor((height, width), side)
        scaled_height, scaled_width = -(-height // divisor), -(-width // divisor)
        memory = scratch.room(3 * scaled_height * scaled_width) if scratch else None
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=scaled_height, min_width=scaled_width, fastupsample=True, buffer=memory
        )
    except ValueError:
        return None
    return pixels, (height, width)


def _full_size(data: bytes | memoryview) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return opaque(image)


def opaque(image: Image.Image) -> Image.Image:
    """The image in RGB, with transparency over white."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info:
        transparent = image.convert("RGBA")
        result = Image.new("RGB", image.size, WHITE)
        result.paste(transparent, mask=transparent.getchannel("A"))
        return result
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper 8 bits of 16-bit values. Float images are taken as 0..255."""
    values = np.asarray(image)
    levels = values if image.mode == "F" else values.astype(np.int64) >> 8
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
