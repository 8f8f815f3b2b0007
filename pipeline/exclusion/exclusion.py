"""The firewall against evaluation images: one list, asked by id, by the bytes' hash, and by a perceptual hash.

Ids carry the collection that they belong to (``coco:57870``, ``vg:2318``), so that one image has several. The list is a
parquet file that any stage can read: curation, grounding, the backgrounds of made pages.
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
MIN_SPREAD = 4.0  # grey levels; below it a perceptual hash says nothing
VERSION = {b"qvl.perceptual_hash": str(HASH_VERSION).encode()}
SCHEMA = pa.schema([("kind", pa.string()), ("value", pa.string()), ("benchmark", pa.string())], metadata=VERSION)
ID, BYTES, PIXELS = "id", "bytes", "perceptual"


@dataclass(frozen=True)
class Hit:
    """Why an image may not be trained on: the way it was found, and all benchmarks that hold it."""

    by: str
    benchmarks: tuple[str, ...]

    @property
    def verdict(self) -> str:
        return f"leak:{self.by}"


@dataclass
class Exclusion:
    """What must not be trained on. ``radius``: bits in which two perceptual hashes may differ, at most 4."""

    entries: dict[str, dict[str, set[str]]] = field(default_factory=lambda: {ID: {}, BYTES: {}, PIXELS: {}})
    radius: int = RADIUS
    _bands: list[dict[int, list[int]]] | None = None
    _hashes: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))

    def add_ids(self, benchmark: str, ids: Iterable[str]) -> None:
        for value in ids:
            self._add(ID, value, benchmark)

    def add_image(self, benchmark: str, data: bytes | memoryview) -> bool:
        """Exclude an image by its bytes and its look; False where no pixel of it can be decoded."""
        self._add(BYTES, xxhash.xxh3_128_hexdigest(data), benchmark)
        value = look(data)
        if value is not None:
            self._add(PIXELS, f"{value:016x}", benchmark)
        return value is not None

    def _add(self, kind: str, value: str, benchmark: str) -> None:
        self.entries[kind].setdefault(value, set()).add(benchmark)
        self._bands = None

    def by_id(self, ids: Iterable[str]) -> Hit | None:
        """The hit of an image known under these ids."""
        found = [self.entries[ID][value] for value in ids if value in self.entries[ID]]
        return Hit(ID, tuple(sorted(set().union(*found)))) if found else None

    def by_image(self, data: bytes | memoryview, digest: str) -> Hit | None:
        """The hit of an image file: equal bytes (``digest``: xxh3-128, hex), or a look within the radius."""
        same = self.entries[BYTES].get(digest)
        if same:
            return Hit(BYTES, tuple(sorted(same)))
        value = look(data) if self.entries[PIXELS] else None
        near = self._near(value) if value is not None else set()
        return Hit(PIXELS, tuple(sorted(near))) if near else None

    def _near(self, value: int) -> set[str]:
        """Benchmarks of all hashes within the radius: one of ``radius + 1`` bands must be equal (pigeonhole)."""
        if self._bands is None:
            self._index()
        bands = self._bands or []
        candidates = sorted({i for n, part in enumerate(_parts(value, self.radius)) for i in bands[n].get(part, ())})
        if not candidates:
            return set()
        hashes = self._hashes[candidates]
        close = hashes[distance(hashes, np.uint64(value)) <= self.radius]  # type: ignore[arg-type]
        return set().union(*(self.entries[PIXELS][f"{int(found):016x}"] for found in close))

    def _index(self) -> None:
        values = [int(value, 16) for value in sorted(self.entries[PIXELS])]
        self._hashes = np.array(values, np.uint64)
        self._bands = [{} for _ in range(self.radius + 1)]
        for place, value in enumerate(values):
            for band, part in zip(self._bands, _parts(value, self.radius), strict=True):
                band.setdefault(part, []).append(place)

    def rows(self) -> list[tuple[str, str, str]]:
        """Kind, value, benchmark; sorted."""
        return sorted((k, v, b) for k, values in self.entries.items() for v, names in values.items() for b in names)

    @property
    def fingerprint(self) -> str:
        return fingerprint({"radius": self.radius, "rows": self.rows()})

    def write(self, path: Path) -> None:
        """Equal lists give equal bytes. Makes the folder."""
        columns = [list(column) for column in zip(*self.rows(), strict=True)] or [[], [], []]
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns, schema=SCHEMA), path, compression="zstd")

    @classmethod
    def read(cls, path: Path, radius: int = RADIUS) -> "Exclusion":
        """A list that ``write`` wrote. Raises RecipeError for another file, and for hashes of another kind."""
        result = cls(radius=radius)
        for kind, value, benchmark in read_rows(path):
            result._add(kind, value, benchmark)
        return result


def read_rows(path: Path) -> list[tuple[str, str, str]]:
    """Kind, value, benchmark of a list. Raises RecipeError for another file, and for hashes of another kind."""
    table = pq.read_table(path)
    if table.schema.names != SCHEMA.names:
        raise RecipeError(f"{path}: not a list of `qvl curate hash`")
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    if not VERSION.items() <= (table.schema.metadata or {}).items() and any(kind == PIXELS for kind, _, _ in rows):
        raise RecipeError(f"{path}: perceptual hashes of an older version; make the list again with `qvl curate hash`")
    return rows


def look(data: bytes | memoryview) -> int | None:
    """Perceptual hash of a file; None for what cannot be decoded or is too flat to be told apart."""
    try:
        value, spread = hash_image(decode(data, SIDE))
    except PixelError:
        return None
    return value if spread >= MIN_SPREAD else None


def _parts(value: int, radius: int) -> list[int]:
    """The hash cut into ``radius + 1`` bands."""
    edges = [BITS * n // (radius + 1) for n in range(radius + 2)]
    return [value >> start & (1 << end - start) - 1 for start, end in pairwise(edges)]
