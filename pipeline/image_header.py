"""Image facts from the first bytes and the last: no pixel is decoded.

Layouts: JPEG (ITU T.81 through simplejpeg), PNG (RFC 2083), GIF89a, WebP container, BMP. Sizes are as stored, before
EXIF orientation. A header costs microseconds where a decode costs milliseconds.
"""

import io
import struct
from dataclasses import dataclass

import simplejpeg
from PIL import Image

from pipeline.errors import DataError

EXIF_SEARCH = 65_536
TAIL = 1_024
JPEG_MODES = {"Gray": "L", "YCbCr": "RGB", "RGB": "RGB", "CMYK": "CMYK", "YCCK": "CMYK"}
PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
OTHER_FORMATS = (
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\1\0", "ico"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL ", "jxl"),
    (b"\0\0\0\x0cjP  ", "jp2"),
)


class HeaderError(DataError):
    """Bytes that are no readable image; the message is the reason in the ledger."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """``width``, ``height`` in stored pixels (0 where only the format is known), ``orientation`` 1..8 (EXIF)."""

    format: str
    width: int
    height: int
    mode: str
    orientation: int = 1
    animated: bool = False


def read_header(data: bytes | memoryview) -> ImageHeader:
    """Header of a whole image file. Raises HeaderError("empty" | "not_an_image" | "damaged_header" | "truncated")."""
    if len(data) == 0:
        raise HeaderError("empty")
    start = bytes(data[:32])
    try:
        if start[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if start[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
            return _webp(data)
        if start[:6] in (b"GIF87a", b"GIF89a"):
            return _gif(data)
        if start[:2] == b"BM" and len(data) >= 26:
            width, height = struct.unpack_from("<ii", start, 18)
            return ImageHeader("bmp", width, abs(height), "RGB")
    except (struct.error, IndexError, ValueError):
        raise HeaderError("damaged_header") from None
    return _other(start)


def _jpeg(data: bytes | memoryview) -> ImageHeader:
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    if bytes(data[-2:]) != b"\xff\xd9" and bytes(data[-TAIL:]).rfind(b"\xff\xd9") < 0:
        require_pixels(data)
    head = bytes(data[:EXIF_SEARCH])
    at = head.find(b"Exif\0\0", 0, 4096)
    orientation = _exif_orientation(head[at + 6 :]) if at >= 0 else 1
    return ImageHeader("jpeg", width, height, JPEG_MODES.get(colours, colours), orientation)


def _exif_orientation(tiff: bytes) -> int:
    """Tag 0x0112 of the first IFD; 1 where it is missing or makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(first + 2, first + 2 + 12 * min(entries, 512), 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _png(data: bytes | memoryview) -> ImageHeader:
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if width == 0 or height == 0 or bytes(data[12:16]) != b"IHDR" or colour not in PNG_MODES:
        raise HeaderError("damaged_header")
    if b"IEND" not in bytes(data[-TAIL:]):
        raise HeaderError("truncated")
    head = bytes(data[:EXIF_SEARCH])
    palette_alpha = colour == 3 and b"tRNS" in head
    mode = "PA" if palette_alpha else PNG_MODES[colour]
    exif = head.find(b"eXIf", 33)
    orientation = _exif_orientation(head[exif + 4 :]) if exif >= 0 else 1
    return ImageHeader("png", width, height, f"{mode};16" if depth == 16 else mode, orientation, b"acTL" in head)


def _webp(data: bytes | memoryview) -> ImageHeader:
    (size,) = struct.unpack("<I", data[4:8])
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        flags = data[20]
        width, height = (1 + int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
        header = ImageHeader("webp", width, height, "RGBA" if flags & 16 else "RGB", 1, bool(flags & 2))
    elif kind == b"VP8L":
        (bits,) = struct.unpack("<I", data[21:25])
        mode = "RGBA" if bits >> 28 & 1 else "RGB"
        header = ImageHeader("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), mode)
    elif kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        header = ImageHeader("webp", width & 0x3FFF, height & 0x3FFF, "RGB")
    else:
        raise HeaderError("damaged_header")
    if size + 8 > len(data) + 1:
        raise HeaderError("truncated")
    return header


def _gif(data: bytes | memoryview) -> ImageHeader:
    width, height = struct.unpack("<HH", data[6:10])
    if b";" not in bytes(data[-TAIL:]):
        raise HeaderError("truncated")
    frames = bytes(data).count(b"\x21\xf9\x04")
    return ImageHeader("gif", width, height, "P", 1, frames > 1)


def _other(start: bytes) -> ImageHeader:
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        return ImageHeader("avif" if brand.startswith(b"avi") else "heic", 0, 0, "RGB")
    for magic, name in OTHER_FORMATS:
        if start.startswith(magic):
            return ImageHeader(name, 0, 0, "RGB")
    raise HeaderError("not_an_image")


def require_pixels(data: bytes | memoryview) -> None:
    """Decode once and throw away: for the rare file whose end looks wrong. Raises HeaderError("truncated")."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise HeaderError("truncated") from None
