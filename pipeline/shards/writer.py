"""Writing a shard: a plain WebDataset tar and its index, both with canonical bytes.

Header fields are fixed (time 0, owner 0, mode 0644). Members are in the order of the samples, and the images of a sample
come before its JSON. Equal samples give equal bytes on every machine. Headers are formatted here, because ``TarInfo.tobuf``
of tarfile, which webdataset uses too, takes more than ten times as long for each member.
"""

from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.shards.sample import Sample, encode_sample
from qvl.pipeline.sources.base import Bytes

BLOCK = 512
END = bytes(2 * BLOCK)
ZEROS = bytes(BLOCK)
MAX_SIZE = 8**11 - 1
WRITE_BYTES = 4 << 20
INDEX_ROWS = 4_096  # at most so many index rows are Python objects: millions would keep the garbage collector busy

# the fixed fields of a ustar header, in order, between and after name, size and checksum
NAME_BYTES = 100
OWNER = b"0000644\x00" + 2 * b"0000000\x00"
TIME = bytes(1) + b"00000000000\x00"
KIND = b"\x00 0" + bytes(100) + b"ustar\x0000"
PADDING = bytes(BLOCK - 265)
END_OF_HEADER = KIND + PADDING
FIXED_SUM = sum(OWNER + TIME + KIND) - sum(b"\0 ") + 8 * ord(" ")

INDEX = pa.schema(
    [
        ("key", pa.string()),
        ("offset", pa.int64()),  # of the sample's first header in the tar
        ("size", pa.int64()),  # bytes up to the next sample
        ("image_offsets", pa.list_(pa.int64())),  # of the image bytes themselves
        ("image_sizes", pa.list_(pa.int64())),
        ("json_offset", pa.int64()),
        ("json_size", pa.int64()),
        ("source", pa.string()),
        ("task", pa.string()),
        ("language", pa.string()),
        ("text_length", pa.int32()),  # characters over all turns
        ("widths", pa.list_(pa.int32())),
        ("heights", pa.list_(pa.int32())),
        ("extensions", pa.list_(pa.string())),
        ("origin_file", pa.string()),  # input file and row that the sample comes from
        ("origin_row", pa.int32()),
    ]
)


class IndexRow(TypedDict):
    """A row of ``INDEX`` as Python values. A reader that asks for some columns gets only those."""

    key: str
    offset: int
    size: int
    image_offsets: list[int]
    image_sizes: list[int]
    json_offset: int
    json_size: int
    source: str
    task: str
    language: str
    text_length: int
    widths: list[int]
    heights: list[int]
    extensions: list[str]
    origin_file: str
    origin_row: int


EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}


def tar_header(name: str, size: int) -> bytes:
    """A ustar header with fixed time, owner and mode. Raises ContractError if the name or size does not fit."""
    encoded = name.encode()
    if len(encoded) > NAME_BYTES or size > MAX_SIZE:
        raise ContractError(f"{name}: name over {NAME_BYTES} bytes or member over 8 GiB")
    middle, checksum = _sized(size)
    return b"%b%b%06o%b" % (encoded.ljust(NAME_BYTES, b"\0"), middle, checksum + sum(encoded), END_OF_HEADER)


@lru_cache(maxsize=4_096)
def _sized(size: int) -> tuple[bytes, int]:
    """The header between name and checksum, and the sum of all header bytes except the name."""
    digits = b"%011o" % size
    return OWNER + digits + TIME, FIXED_SUM + sum(digits)


class ShardWriter:
    """Writes ``path`` (a tar) and, if the context ends without an error, its index next to it as ``.parquet``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[str] = []  # keys of all samples so far
        self.image_bytes = 0
        self._digest = xxhash.xxh3_128()
        self._position = 0
        self._pieces: list[Bytes] = []
        self._pending_bytes = 0
        self._index: list[pa.Table] = []
        self._recent: list[tuple[Any, ...]] = []  # index rows that are not in ``_index`` yet

    def __enter__(self) -> "ShardWriter":
        self._file = self.path.open("wb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._pieces.append(END)
                self._flush()
        finally:
            self._file.close()
        if kind is None:
            self._convert_recent()
            table = pa.concat_tables(self._index).combine_chunks()
            pq.write_table(table, self.path.with_suffix(".parquet"), compression="zstd")

    @property
    def hash(self) -> str:
        """xxh3-128 (hex) of all bytes written so far; after the exit, that of the tar."""
        return self._digest.hexdigest()

    def write(self, sample: Sample) -> None:
        """Append a sample. Its key is its id: letters, digits, dashes and underscores, but no dots."""
        record, images = sample.record, sample.images
        key, start = record.id, self._position
        offsets = []
        for number, image in enumerate(images):
            stem = key if len(images) == 1 else f"{key}.{number}"
            offsets.append(self._member(f"{stem}.{image.extension}", image.data))
            self.image_bytes += len(image.data)
        text = encode_sample(record)
        json_offset = self._member(f"{key}.json", text)
        row = (
            key, start, self._position - start, offsets, [len(image.data) for image in images], json_offset, len(text),
            record.source, record.task, record.language, record.text_length,
            [image.width for image in images], [image.height for image in images], [image.extension for image in images],
            record.origin.file, record.origin.row,
        )  # fmt: skip
        self.rows.append(key)
        self._recent.append(row)
        if len(self._recent) >= INDEX_ROWS:
            self._convert_recent()
        if self._pending_bytes >= WRITE_BYTES:
            self._flush()

    def _member(self, name: str, data: Bytes) -> int:
        """Append a member and return the offset of its bytes."""
        size = len(data)
        padding = -size % BLOCK
        self._pieces += (tar_header(name, size), data, ZEROS[:padding])
        offset = self._position + BLOCK
        self._position = offset + size + padding
        self._pending_bytes += BLOCK + size + padding
        return offset

    def _convert_recent(self) -> None:
        """Convert the recent index rows to Arrow."""
        columns = [list(values) for values in zip(*self._recent, strict=True)] or [[] for _ in INDEX]
        self._index.append(pa.table([pa.array(c, f.type) for c, f in zip(columns, INDEX, strict=True)], INDEX))
        self._recent = []

    def _flush(self) -> None:
        """Write all pending pieces at once: a system call per member would take longer than the bytes."""
        data = memoryview(b"".join(self._pieces))
        self._digest.update(data)
        while data:
            data = data[self._file.write(data) :]
        self._pieces, self._pending_bytes = [], 0
