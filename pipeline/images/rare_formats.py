"""Size and mode of images in rare formats, as the decoder itself reads them: AVIF, TIFF, JPEG 2000, ICO.

The decoder opens the file but decodes no pixel, except those of TIFF. HEIC and JPEG XL are recognised but cannot be decoded;
a film in the same container (ISO/IEC 14496-12, clause 4.3) is no image. Sources: ISO/IEC 23008-12 (brands of HEIF), AVIF 1.1
(its brands).
"""

import io
import struct
import warnings
from dataclasses import dataclass

from PIL import Image

from qvl.pipeline.images.decode import opaque

MAGIC = (
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\0\0\1\0", "ico"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL ", "jxl"),
    (b"\0\0\0\x0cjP  ", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
)
AVIF_BRANDS = frozenset((b"avif", b"avis"))
HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
ANY_BRANDS = frozenset((b"mif1", b"msf1", b"mif2", b"miaf"))  # the format is among the compatible brands
MAX_BRANDS = 64
DECODERS = {"bmp": "BMP", "tiff": "TIFF", "ico": "ICO", "jp2": "JPEG2000", "avif": "AVIF"}
ORIENTATION = 0x0112
JP2_END = b"\xff\xd9"

warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # a damaged TIFF gets a verdict


class FormatError(Exception):
    """The file cannot be used. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Measured:
    """``width`` and ``height`` in stored pixels, Pillow's ``mode``, EXIF ``orientation`` 1..8."""

    width: int
    height: int
    mode: str
    orientation: int
    animated: bool


def format_of(data: bytes | memoryview) -> str | None:
    """The name of a rare format by the first bytes, or None."""
    start = bytes(data[: 16 + 4 * MAX_BRANDS])
    if start[4:8] == b"ftyp":
        return _format_of_brands(start)
    return next((name for magic, name in MAGIC if start.startswith(magic)), None)


def _format_of_brands(start: bytes) -> str | None:
    size = min(int.from_bytes(start[:4], "big"), len(start))
    major, others = start[8:12], {start[at : at + 4] for at in range(16, size - 3, 4)}
    brands = {major} if major not in ANY_BRANDS else {major, *others}
    if brands & AVIF_BRANDS:
        return "avif"
    return "heic" if brands & (HEIC_BRANDS | ANY_BRANDS) else None


def measure(data: bytes | memoryview, name: str) -> Measured:
    """What the decoder says of a file in the format ``name``.

    Raises FormatError("format:<name>" | "damaged_header" | "truncated" | "too_many_pixels").
    """
    if name not in DECODERS:
        raise FormatError(f"format:{name}")
    if name in ("avif", "jp2") and not _has_all_boxes(data):
        raise FormatError("truncated")
    try:
        with Image.open(io.BytesIO(data), formats=(DECODERS[name],)) as image:
            width, height = image.size
            orientation = image.getexif().get(ORIENTATION, 1)
            animated = name == "avif" and bool(getattr(image, "is_animated", False))
            mode = image.mode
            if name == "tiff":  # its header says little: how pixels are compressed, and where, is free
                image.load()
            opaque(Image.new(mode, (1, 1)))
    except Image.DecompressionBombError:
        raise FormatError("too_many_pixels") from None
    except Exception:  # noqa: BLE001 - the decoders raise many classes for damaged files
        raise FormatError("damaged_header") from None
    return Measured(width, height, mode, orientation if orientation in range(1, 9) else 1, animated)


def _has_all_boxes(data: bytes | memoryview) -> bool:
    """Whether every box of the file ends within it. A codestream of JPEG 2000 without boxes must have its end marker."""
    if bytes(data[:2]) == b"\xff\x4f":
        return bytes(data[-64:]).rstrip(b"\0").endswith(JP2_END)
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:  # up to the end of the file
            return True
        if size < 8 or at + size > len(data):
            return False
        at += size
    return True
