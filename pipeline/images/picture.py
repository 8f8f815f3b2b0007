"""An image file of a sample: its unchanged bytes, with the size from its header and the hash of the bytes."""

from dataclasses import dataclass

import xxhash

from qvl.pipeline.images.header import HeaderError, read_header
from qvl.pipeline.shards.writer import EXTENSIONS
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.storage.reader import Storage


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
    """The picture with these bytes, or ``unreadable:<reason>``."""
    try:
        header = read_header(data)
    except HeaderError as error:
        return f"unreadable:{error}"
    if not header.width or not header.height:
        return "unreadable:format"
    extension = EXTENSIONS.get(header.format, header.format)
    sha = xxhash.xxh3_128_hexdigest(data)
    return Picture(extension, data, header.width, header.height, header.orientation, sha)


def read_picture(path: str, storage: Storage) -> Picture | str:
    """The picture in a file, or the reason why it cannot be read."""
    try:
        return picture(storage.read(path))
    except FileNotFoundError:
        return "image_missing"
    except OSError as error:
        return f"unreadable:{type(error).__name__}"
