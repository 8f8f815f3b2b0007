"""The image that an annotation speaks of: its bytes, its size, and whether the two fit together."""

from dataclasses import dataclass

import xxhash

from pipeline.image_header import HeaderError, read_header
from pipeline.shard_writer import EXTENSIONS
from pipeline.sources.base import Bytes
from pipeline.storage import Storage

RATIO_TOLERANCE = 0.02  # a resize rounds sides to whole pixels
SQUARE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Picture:
    """Stored pixels ``width`` x ``height``; ``sha`` is the hex xxh3-128 of the bytes."""

    extension: str
    data: Bytes
    width: int
    height: int
    orientation: int
    sha: str


def picture(data: Bytes) -> Picture | str:
    """A picture from its bytes, or ``unreadable:<why>``."""
    try:
        header = read_header(data)
    except HeaderError as error:
        return f"unreadable:{error}"
    if not header.width or not header.height:
        return "unreadable:format"
    extension = EXTENSIONS.get(header.format, header.format)
    sha = xxhash.xxh3_128_hexdigest(data)
    return Picture(extension, data, header.width, header.height, header.orientation, sha)


def read(path: str, storage: Storage) -> Picture | str:
    """A picture from a file, or the reason why there is none."""
    try:
        return picture(storage.read(path))
    except FileNotFoundError:
        return "image_missing"
    except OSError as error:
        return f"unreadable:{type(error).__name__}"


def disagreement(found: Picture, size: tuple[int, int] | None, scaled: bool) -> str | None:
    """Why boxes of an image annotated as ``size`` cannot be drawn on this file; None where they can.

    ``scaled``: the file may be a smaller copy with the same ratio (boxes relative to it stay right). A rotated file is
    refused: nobody can know whether the annotator saw it turned.
    """
    if found.orientation != 1:
        return "exif_rotated"
    if size is None or size == (found.width, found.height):
        return None
    width, height = size
    if width <= 0 or height <= 0:
        return "size_mismatch"
    ratio, actual = width / height, found.width / found.height
    if scaled and abs(ratio / actual - 1) <= max(RATIO_TOLERANCE, 1 / min(found.width, found.height)):
        return None
    if scaled and abs(actual - 1) <= SQUARE_TOLERANCE:
        return "padded_or_cropped"
    return "size_mismatch"
