"""The list of evaluation images that must not be trained on. Matches by id, by the hash of the bytes or by perceptual hash.

Ids name the collection that they belong to (``coco:57870``, ``vg:2318``), so an image can have several. The list is a
parquet file that several parts read: curation, grounding, and the backgrounds of synthetic pages.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.images.decode import SIDE, PixelError, decode
from qvl.pipeline.images.perceptual_hash import BITS, HASH_VERSION, Hashes, distance, hash_image

RADIUS = 4
MIN_SPREAD = 4.0  # grey levels; a perceptual hash with less contrast is meaningless
VERSION = {b"qvl.perceptual_hash": str(HASH_VERSION).encode()}
SCHEMA = pa.schema([("kind", pa.string()), ("value", pa.string()), ("benchmark", pa.string())], metadata=VERSION)
ID, BYTES, PIXELS = "id", "bytes", "perceptual"


@dataclass(frozen=True)
class ExclusionMatch:
    """Why an image must not be trained on: how it was matched (``by``), and all benchmarks that contain it."""

    by: str
    benchmarks: tuple[str, ...]

    @property
    def verdict(self) -> str:
        return f"leak:{self.by}"


@dataclass
class Exclusion:
    """What must not be trained on. ``radius``: the number of bits in which two perceptual hashes may differ, at most 4."""

    entries: dict[str, dict[str, set[str]]] = field(default_factory=lambda: {ID: {}, BYTES: {}, PIXELS: {}})
    radius: int = RADIUS
    _bands: list[dict[int, list[int]]] | None = None
    _hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))

    def add_ids(self, benchmark: str, ids: Iterable[str]) -> None:
        for value in ids:
            self._add(ID, value, benchmark)

    def add_image(self, benchmark: str, data: bytes | memoryview) -> bool:
        """Exclude an image by its bytes and its perceptual hash. False if it has no usable perceptual hash."""
        self._add(BYTES, xxhash.xxh3_128_hexdigest(data), benchmark)
        value = usable_hash(data)
        if value is not None:
            self._add(PIXELS, f"{value:016x}", benchmark)
        return value is not None

    def _add(self, kind: str, value: str, benchmark: str) -> None:
        self.entries[kind].setdefault(value, set()).add(benchmark)
        self._bands = None

    def by_id(self, ids: Iterable[str]) -> ExclusionMatch | None:
        """The match of an image with these ids."""
        benchmarks = [self.entries[ID][value] for value in ids if value in self.entries[ID]]
        return ExclusionMatch(ID, tuple(sorted(set().union(*benchmarks)))) if benchmarks else None

    def by_image(self, data: bytes | memoryview, digest: str) -> ExclusionMatch | None:
        """The match of an image file: equal bytes (``digest``: hex xxh3-128), or a perceptual hash within the radius."""
        equal = self.entries[BYTES].get(digest)
        if equal:
            return ExclusionMatch(BYTES, tuple(sorted(equal)))
        value = usable_hash(data) if self.entries[PIXELS] else None
        near = self._near(value) if value is not None else set()
        return ExclusionMatch(PIXELS, tuple(sorted(near))) if near else None

    def _near(self, value: int) -> set[str]:
        """Benchmarks of all hashes within the radius. One of the ``radius + 1`` bands must be equal (pigeonhole)."""
        if self._bands is None:
            self._index()
        bands = self._bands or []
        candidates = sorted({i for n, part in enumerate(_parts(value, self.radius)) for i in bands[n].get(part, ())})
        if not candidates:
            return set()
        hashes = self._hashes[candidates]
        near = hashes[distance(hashes, np.uint64(value)) <= self.radius]  # type: ignore[arg-type]
        return set().union(*(self.entries[PIXELS][f"{int(excluded):016x}"] for excluded in near))

    def _index(self) -> None:
        values = [int(value, 16) for value in sorted(self.entries[PIXELS])]
        self._hashes = np.array(values, np.uint64)
        self._bands = [{} for _ in range(self.radius + 1)]
        for number, value in enumerate(values):
            for band, part in zip(self._bands, _parts(value, self.radius), strict=True):
                band.setdefault(part, []).append(number)

    def rows(self) -> list[tuple[str, str, str]]:
        """All (kind, value, benchmark), sorted."""
        return sorted((k, v, b) for k, values in self.entries.items() for v, names in values.items() for b in names)

    @property
    def fingerprint(self) -> str:
        return fingerprint({"radius": self.radius, "rows": self.rows()})

    def write(self, path: Path) -> None:
        """Write the list; equal lists give equal bytes. Creates the folder."""
        columns = [list(column) for column in zip(*self.rows(), strict=True)] or [[], [], []]
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns, schema=SCHEMA), path, compression="zstd")

    @classmethod
    def read(cls, path: Path, radius: int = RADIUS) -> "Exclusion":
        """A list that ``write`` wrote. Raises RecipeError for any other file and for hashes of another version."""
        result = cls(radius=radius)
        for kind, value, benchmark in read_rows(path):
            result._add(kind, value, benchmark)
        return result


def read_rows(path: Path) -> list[tuple[str, str, str]]:
    """All (kind, value, benchmark) of a list. Raises RecipeError for other files and for hashes of another version."""
    table = pq.read_table(path)
    if table.schema.names != SCHEMA.names:
        raise RecipeError(f"{path}: this is not a list made by `qvl curate hash`")
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    if not VERSION.items() <= (table.schema.metadata or {}).items() and any(kind == PIXELS for kind, _, _ in rows):
        raise RecipeError(
            f"{path}: its perceptual hashes are of an older version; make the list again with `qvl curate hash`"
        )
    return rows


def usable_hash(data: bytes | memoryview) -> int | None:
    """The perceptual hash of a file; None if it cannot be decoded or has too little contrast."""
    try:
        value, spread = hash_image(decode(data, SIDE))
    except PixelError:
        return None
    return value if spread >= MIN_SPREAD else None


def _parts(value: int, radius: int) -> list[int]:
    """The bits of a hash, cut into ``radius + 1`` bands."""
    edges = [BITS * n // (radius + 1) for n in range(radius + 2)]
    return [value >> start & (1 << end - start) - 1 for start, end in pairwise(edges)]
