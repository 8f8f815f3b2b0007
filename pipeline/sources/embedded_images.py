"""The image in a cell of a table: its bytes, their base64, or Hugging Face's pair of bytes and path."""

import binascii
from dataclasses import dataclass
from typing import Any

from qvl.pipeline.sources.bounded_parquet import TOO_LARGE

ALPHABET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n")
DATA_URL = b"data:image/"
URL_SAFE = bytes.maketrans(b"-_", b"+/")
LOOKED_AT = 64  # bytes; every image format has a byte outside the alphabet among its first
SHORTEST = 32  # bytes of base64 that an image has at least


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """What a cell holds: ``data``, or the ``path`` of a file, or neither. ``fault`` is set where its data cannot be used."""

    data: bytes | None = None
    path: str | None = None
    fault: str | None = None


def embedded_image(value: Any) -> EmbeddedImage:
    """Read a cell. Text that is base64, with or without ``data:image/...;base64,``, is decoded."""
    if value is TOO_LARGE:
        return EmbeddedImage(fault="unreadable:too_large")
    if isinstance(value, dict):
        found = embedded_image(value.get("bytes"))
        path = value.get("path")
        path = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
        return EmbeddedImage(found.data, path if isinstance(path, str) and path else None, found.fault)
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        return _decoded(text) if is_base64(text) else EmbeddedImage()
    if not isinstance(value, bytes) or not value:
        return EmbeddedImage()
    return _decoded(value) if is_base64(value) else EmbeddedImage(value)


def is_base64(data: bytes) -> bool:
    """Whether data is base64 and no image: it is long enough and has no byte outside the alphabet at its beginning."""
    return data.startswith(DATA_URL) or (len(data) >= SHORTEST and ALPHABET.issuperset(data[:LOOKED_AT]))


def _decoded(data: bytes) -> EmbeddedImage:
    if data.startswith(DATA_URL):
        header, _, data = data.partition(b",")
        if not header.endswith(b";base64"):
            return EmbeddedImage(fault="unreadable:bad_base64")
    try:
        return EmbeddedImage(binascii.a2b_base64(data.translate(URL_SAFE).rstrip(b"=\r\n") + b"=="))
    except binascii.Error:
        return EmbeddedImage(fault="unreadable:bad_base64")
