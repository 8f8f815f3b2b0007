"""Stage pack in the driver: the shards that follow from the ledger, and what their fingerprints cover."""

from pathlib import Path

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, read_manifest
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.pack_stage import pack_tasks, plan_shards, run_pack
from qvl.pipeline.curate.selection.ledger import read_select_summary
from qvl.pipeline.curate.selection.manifests import LedgerManifest
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.curate.finished_run import curation, scanned


def ledgers(bound: Curation) -> list[LedgerManifest]:
    return [committed_manifest(Layout(bound.out).group_manifest("ledger", 0), LedgerManifest)]


def test_plan_shards_holds_every_kept_row_once_and_all_but_the_last_are_full(data: Path, out: Path) -> None:
    bound = curation(data, out)
    plans = plan_shards(bound, ledgers(bound), bound.units())
    assert [plan.name for plan in plans] == [f"small-{number:06d}" for number in range(4)]
    assert [plan.last - plan.first for plan in plans] == [7, 7, 7, 3]
    assert [plan.first for plan in plans[1:]] == [plan.last for plan in plans[:-1]]


def test_pack_tasks_when_verdicts_change_get_another_fingerprint_and_need_only_their_units(
    data: Path, out: Path
) -> None:
    bound = curation(data, out)
    one, other = (pack_tasks(bound, bound.units(), ledgers(bound), select) for select in ("a", "b"))
    assert {task.fingerprint for task in one}.isdisjoint(task.fingerprint for task in other)
    for task in one:
        assert set(task.units) == {unit for window in task.plan.windows for unit in window.units}
        assert set(task.sources) == {unit.source for unit in task.units.values()}


def test_run_pack_when_a_shard_is_lost_packs_it_alone_to_the_same_bytes(data: Path, out: Path) -> None:
    bound, layout = curation(data, out), Layout(out)
    summary = read_select_summary(out)
    assert summary is not None
    shards = [layout.shard(f"small-{number:06d}") for number in range(4)]
    before, stamps = [path.read_bytes() for path in shards], [path.stat().st_mtime_ns for path in shards]
    layout.shard_manifest("small-000001").unlink()
    shards[1].unlink()
    tasks = pack_tasks(bound, bound.units(), ledgers(bound), summary.fingerprint)
    with RunProgress() as progress:
        dataset = run_pack(bound, scanned(bound), summary, tasks, SerialPool(), progress)
    assert dataset == read_manifest(layout.dataset, DatasetManifest)
    assert [path.read_bytes() for path in shards] == before
    found = [path.stat().st_mtime_ns for path in shards]
    assert [a == b for a, b in zip(found, stamps, strict=True)] == [True, False, True, True]
