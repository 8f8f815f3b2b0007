"""The manifests of a shard and of a dataset (``dataset.json``).

Both count samples by source, language and task. ``revoked`` counts samples that were packed and taken down afterwards; they
are not in ``samples``. Sizes are bytes; hashes are hex xxh3-128.
"""

from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

COUNTED = ("sources", "languages", "tasks")

VerdictCounts = dict[str, dict[str, int]]  # source -> verdict -> rows


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A shard as ``dataset.json`` lists it. ``hash`` is that of the tar, ``index_hash`` that of its index."""

    shard: str
    samples: int
    bytes: int
    image_bytes: int
    hash: str
    index_hash: str


@dataclass(frozen=True, slots=True)
class ShardManifest:
    """The manifest that commits one shard. ``fingerprint`` names the rows that the shard was packed from."""

    shard: str
    fingerprint: str
    samples: int
    bytes: int
    image_bytes: int
    hash: str
    index_hash: str
    sources: dict[str, int]
    languages: dict[str, int]
    tasks: dict[str, int]
    revoked: int = 0

    @property
    def entry(self) -> ShardEntry:
        return ShardEntry(self.shard, self.samples, self.bytes, self.image_bytes, self.hash, self.index_hash)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Samples by source, language and task."""
        return {"sources": self.sources, "languages": self.languages, "tasks": self.tasks}


@dataclass(frozen=True, slots=True)
class DatasetManifest:
    """``dataset.json``. ``hash`` is the Merkle root of the shards' hashes; ``lineage`` says where the samples come from.

    Every lineage has ``rows``. A curation adds ``scan``, ``select``, ``recipe`` and ``verdicts``; a build ``made``,
    ``pack``, ``units`` and ``verdicts``; a conversion ``foreign``, ``tars`` and ``left_out``; indexed tars ``indexed``.
    """

    name: str
    fingerprint: str
    samples: int
    bytes: int
    sources: dict[str, int]
    languages: dict[str, int]
    tasks: dict[str, int]
    hash: str
    shards: tuple[ShardEntry, ...]
    lineage: dict[str, JsonValue]
    revoked: int = 0

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Samples by source, language and task."""
        return {"sources": self.sources, "languages": self.languages, "tasks": self.tasks}

    @property
    def rows(self) -> int:
        """Input rows that the dataset was made from."""
        return cast(int, self.lineage["rows"])

    @property
    def verdicts(self) -> VerdictCounts:
        """Rows by source and verdict; empty if the dataset was not made from a ledger."""
        return cast(VerdictCounts, self.lineage.get("verdicts", {}))

    @property
    def units(self) -> tuple[str, ...]:
        """The units of a build in order; empty for other datasets."""
        return tuple(cast(list[str], self.lineage.get("units", [])))

    @property
    def pack(self) -> dict[str, int]:
        """How a build was packed: ``shard_rows`` and ``seed``."""
        return cast(dict[str, int], self.lineage["pack"])

    @property
    def recipe_pack(self) -> dict[str, int]:
        """How a curation was packed, from its recipe: ``shard_rows``, ``seed`` and ``window_units``."""
        return cast(dict[str, dict[str, int]], self.lineage["recipe"])["pack"]

    @property
    def left_out(self) -> dict[str, int]:
        """Samples by reason that a conversion of foreign tars left out."""
        return cast(dict[str, int], self.lineage["left_out"])
