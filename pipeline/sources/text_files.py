"""Text files as lines of UTF-8: other encodings are converted, gzip is expanded within a bound.

A gzip file is known by its first bytes, an encoding by its byte order mark or because the recipe names it.
"""

import codecs
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.bounded_parquet import LEAST_BUDGET, ExpandsTooFar

PIECE = 1 << 16
GZIP = b"\x1f\x8b"
UTF8 = "utf-8"
MARKS = (  # the longer mark first: that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Chunks(io.RawIOBase):
    """An iterator over pieces of a file as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces, self._ready = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._ready = piece
        given = self._ready[: len(buffer)]
        self._ready = self._ready[len(buffer) :]
        buffer[: len(given)] = given
        return len(given)


@contextmanager
def open_text(path: Path, max_expansion: int, encoding: str | None) -> Iterator[io.BufferedReader]:
    """A file as UTF-8 without a byte order mark. Bytes that are not text in its encoding stay invalid UTF-8.

    Reading raises ExpandsTooFar where a gzip file expands too far for its size, EOFError, zlib.error or OSError where it is
    corrupted, and UnicodeDecodeError where UTF-16 or UTF-32 is.
    """
    with path.open("rb") as raw:
        file = raw
        if raw.peek(len(GZIP)).startswith(GZIP):
            budget = max(LEAST_BUDGET, max_expansion * path.stat().st_size)
            file = io.BufferedReader(Chunks(_expanded(raw, budget)), PIECE)
        found, mark = encoding_of(path, file.peek(4)[:4], encoding)
        file.read(mark)
        yield file if found == UTF8 else io.BufferedReader(Chunks(_converted(file, found)), PIECE)


def _expanded(raw: io.BufferedReader, budget: int) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=raw) as file:
        while piece := file.read1(PIECE):
            budget -= len(piece)
            if budget < 0:
                raise ExpandsTooFar
            yield piece


def _converted(file: io.BufferedReader, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")
    while piece := file.read1(PIECE):
        yield decoder.decode(piece).encode(UTF8, "surrogateescape")
    yield decoder.decode(b"", final=True).encode(UTF8, "surrogateescape")


def encoding_of(path: Path, head: bytes, named: str | None) -> tuple[str, int]:
    """The encoding of a file and the length of its byte order mark.

    Raises RecipeError where the recipe names an encoding that does not exist or that contradicts the mark.
    """
    mark, found = next(((mark, encoding) for mark, encoding in MARKS if head.startswith(mark)), (b"", None))
    if named is None:
        return found or UTF8, len(mark)
    try:
        wanted = codecs.lookup(named).name
    except LookupError:
        raise RecipeError(f"encoding: there is no encoding {named}") from None
    if found is None:
        return wanted, 0
    if wanted not in (found, found.removesuffix("-le").removesuffix("-be"), "utf-8-sig"):
        raise RecipeError(f"{path.name}: its byte order mark says {found}, the recipe says `encoding: {named}`")
    return found, len(mark)
