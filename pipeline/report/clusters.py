"""Duplicate clusters from the ledger's ``dup_of``: sizes of all, members of the largest.

The ledger is streamed: memory is 16 bytes per cluster, whatever the number of rows. A cluster holds the rows that one
rule dropped in favour of one kept row; its size includes the kept rows (``allowed`` of that rule).
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.curate.measuring.columns import sample_id, split_sample_id

LARGEST = 8
MEMBERS = 5
COMPACT_AT = 2_000_000
ROW_BITS = np.uint64(40)


@dataclass(frozen=True)
class Cluster:
    """The kept row and the number of rows dropped in favour of it; ``members`` are up to ``MEMBERS`` of those."""

    keeper: str
    losers: int
    members: list[str] = field(default_factory=list)


@dataclass
class Clusters:
    """Number of dropped rows per kept row, by the rule's reason."""

    units: dict[str, int] = field(default_factory=dict)
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict)
    pending: int = 0

    def offer(self, verdict: pa.Array, dup_of: pa.Array) -> None:
        """Add dropped rows: the rule's reason and the kept row's id, without nulls."""
        reasons = verdict.cast(pa.string())
        for reason in pc.unique(reasons).to_pylist():
            ids = dup_of.filter(pc.equal(reasons, reason)).dictionary_encode()
            keys = np.array([self._key(each) for each in ids.dictionary.to_pylist()], np.uint64)
            losers = np.bincount(ids.indices.to_numpy(), minlength=len(keys)).astype(np.uint64)
            self.parts.setdefault(reason, []).append((keys, losers))
            self.pending += len(keys)
        if self.pending > COMPACT_AT:
            self._compact()

    def losers(self, reason: str) -> np.ndarray:
        """Number of dropped rows of every cluster of a rule."""
        self._compact()
        return self.parts[reason][0][1] if reason in self.parts else np.empty(0, np.uint64)

    def largest(self, reason: str) -> list[Cluster]:
        """The largest clusters of a rule; ties go to the kept row that comes first in the ledger."""
        losers = self.losers(reason)
        if not len(losers):
            return []
        keys = self.parts[reason][0][0]
        top = np.argsort(-losers.astype(np.int64), kind="stable")[:LARGEST]
        return [Cluster(self._id(int(keys[i])), int(losers[i])) for i in top]

    def _key(self, sample: str) -> int:
        unit, row = split_sample_id(sample)
        return (self.units.setdefault(unit, len(self.units)) << int(ROW_BITS)) | row

    def _id(self, key: int) -> str:
        names = list(self.units)
        return sample_id(names[key >> int(ROW_BITS)], key & ((1 << int(ROW_BITS)) - 1))

    def _compact(self) -> None:
        """Merge the parts of each rule, so that memory is bounded by the number of clusters."""
        for reason, parts in self.parts.items():
            keys, inverse = np.unique(np.concatenate([keys for keys, _ in parts]), return_inverse=True)
            losers = np.bincount(inverse, np.concatenate([losers for _, losers in parts]).astype(np.float64))
            self.parts[reason] = [(keys, losers.astype(np.uint64))]
        self.pending = 0


def add_members(clusters: dict[str, list[Cluster]], table: pa.Table) -> None:
    """Fill in the first dropped rows in the ledger's order. ``table`` has id, verdict and dup_of of one unit."""
    open_clusters = {
        (reason, c.keeper): c for reason, group in clusters.items() for c in group if len(c.members) < MEMBERS
    }
    if not open_clusters:
        return
    wanted = pa.array(sorted({keeper for _, keeper in open_clusters}), pa.string())
    found = table.filter(pc.is_in(table["dup_of"], wanted))
    columns = (found[name].cast(pa.string()).to_pylist() for name in ("id", "verdict", "dup_of"))
    for sample, reason, keeper in zip(*columns, strict=True):
        cluster = open_clusters.get((reason, keeper))
        if cluster is not None and len(cluster.members) < min(MEMBERS, cluster.losers):
            cluster.members.append(sample)


def size_histogram(losers: np.ndarray, allowed: int) -> list[tuple[int, int, int]]:
    """(smallest size, largest size, number of clusters) over powers of two; sizes include the kept rows."""
    sizes = losers.astype(np.int64) + allowed
    result: list[tuple[int, int, int]] = []
    start = 2
    while len(sizes) and start <= int(sizes.max()):
        end = start if start < 4 else start * 2 - 1
        number = int(((sizes >= start) & (sizes <= end)).sum())
        if number or result:
            result.append((start, end, number))
        start = end + 1
    return result
