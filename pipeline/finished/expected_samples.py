"""What the shards of an output must hold, in order: from the ledger, from built units, or from the shards' own indexes."""

from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.added_columns import ledger_name
from qvl.pipeline.shards.order import ShardPlan, Window
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.shards.sample import Meta, metas
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath


class ExpectedSample(NamedTuple):
    """A sample that a shard must hold: its key and, in a curation, the hash of its image, its caption and ``meta``."""

    key: str
    image_hash: bytes | None = None
    caption: str | None = None
    meta: Meta | None = None


class ExpectedSamples(Protocol):
    """The samples that a shard must hold, in order, including those that were taken down since."""

    def of_shard(self, plan: ShardPlan) -> list[ExpectedSample]: ...


class KeptRows:
    """Of a curation: the rows that the ledger keeps. ``carried`` names what each source carries into ``meta``."""

    def __init__(self, layout: Layout[AnyPath], seed: int, carried: dict[str, tuple[str, ...]]) -> None:
        self.layout, self.seed, self.carried = layout, seed, carried

    def of_shard(self, plan: ShardPlan) -> list[ExpectedSample]:
        return [sample for window in plan.windows for sample in self._of_window(window, plan)]

    def _of_window(self, window: Window, plan: ShardPlan) -> list[ExpectedSample]:
        kept_by_unit = []
        for unit in window.units:
            carried = sorted({ledger_name(name) for names in self.carried.values() for name in names})
            needed = dict.fromkeys(["id", "source", "verdict", "image_hash", "caption", *carried])
            table = read_parquet(self.layout.ledger(unit), list(needed))
            kept = table.filter(pc.equal(table["verdict"].cast("string"), KEEP))
            columns = [kept[name].to_pylist() for name in ("id", "image_hash", "caption")]
            kept_by_unit.append(list(zip(*columns, self._metas(kept), strict=True)))
        owner, rank = window.rows(self.seed, plan.first, plan.last)
        return [ExpectedSample(*kept_by_unit[i][j]) for i, j in zip(owner.tolist(), rank.tolist(), strict=True)]

    def _metas(self, kept: pa.Table) -> list[Meta]:
        source = str(kept["source"][0].as_py()) if len(kept) else ""
        names = self.carried.get(source, ())
        return metas({name: kept[ledger_name(name)] for name in names}, len(kept))


class BuiltSamples:
    """Of a build: the samples of its units, by the units' own indexes."""

    def __init__(self, layout: Layout[AnyPath], seed: int) -> None:
        self.layout, self.seed = layout, seed

    def of_shard(self, plan: ShardPlan) -> list[ExpectedSample]:
        result = []
        for window in plan.windows:
            owner, rank = window.rows(self.seed, plan.first, plan.last)
            paths = [self.layout.made(unit).with_suffix(".parquet") for unit in window.units]
            keys = {i: read_parquet(paths[i], ["key"])["key"].to_pylist() for i in set(owner.tolist())}
            result += [ExpectedSample(keys[i][j]) for i, j in zip(owner.tolist(), rank.tolist(), strict=True)]
        return result


class IndexedSamples:
    """Of converted tars: the samples of a shard's own index, and those that were taken down from it."""

    def __init__(self, layout: Layout[AnyPath]) -> None:
        self.layout = layout

    def of_shard(self, plan: ShardPlan) -> list[ExpectedSample]:
        indexed = read_parquet(self.layout.index(plan.name), ["key"])["key"].to_pylist()
        revoked = [key for key, record in read_revoked(self.layout.revoked).items() if record.shard == plan.name]
        return [ExpectedSample(key) for key in [*indexed, *revoked]]


class SamplesLeft:
    """The expected samples without those on record as taken down. ``revoked`` counts the ones left out so far."""

    def __init__(self, expected: ExpectedSamples, revoked_keys: frozenset[str]) -> None:
        self._expected, self._revoked_keys, self.revoked = expected, revoked_keys, 0

    def of_shard(self, plan: ShardPlan) -> list[ExpectedSample]:
        expected = self._expected.of_shard(plan)
        left = [sample for sample in expected if sample.key not in self._revoked_keys]
        self.revoked += len(expected) - len(left)
        return left
