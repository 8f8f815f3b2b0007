"""A curation: scan, score, select, pack, one after the other, each resumed from its manifests."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qvl.pipeline.base.errors import ContractError, DataError
from qvl.pipeline.base.pool import GuardedPool, Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.attempts import clear_attempts
from qvl.pipeline.commit.fingerprint import fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import committed_manifest, restate_manifest
from qvl.pipeline.curate.measuring.scan import ScanTask, language_model, scan_task, scan_unit, scanned_unit
from qvl.pipeline.curate.measuring.score import ScoreTask
from qvl.pipeline.curate.measuring.score_stage import (
    outdated,
    run_score,
    score_identity,
    score_tasks,
    with_pixel_faults,
)
from qvl.pipeline.curate.pack import PACK_VERSION, PackTask, pack_shard, pack_tasks
from qvl.pipeline.curate.selection.decontaminate import benchmarks_identity, decontaminate
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.ledger import ledger_of, write_ledger
from qvl.pipeline.curate.selection.rule_steps import Step, over, rule_steps
from qvl.pipeline.curate.selection.select import SELECT_VERSION, SelectTask, judge
from qvl.pipeline.curate.stale import discard, portable, refuse_or_discard, remember_recipe
from qvl.pipeline.recipe.recipe import Recipe, reader
from qvl.pipeline.shards.dataset import committed_shard, finish
from qvl.pipeline.shards.order import ShardPlan, shard_plans, windows
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.sources.paths import owned
from qvl.pipeline.storage.paths import Place, StorePath, map_concurrently
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.takedown.journal import finish_takedown


@dataclass(frozen=True)
class Curation:
    """A recipe bound to an output folder."""

    recipe: Recipe
    out: Place

    @property
    def layout(self) -> Layout[Place]:
        return Layout(self.out)

    def units(self) -> list[Unit]:
        """Every input file by source and name, whatever the order of the recipe."""
        found = ((source, reader(source).units(Storage())) for source in self.recipe.sources)
        units = sorted(
            (u for source, some in found for u in owned(some, source.name)), key=lambda u: (u.source, u.name)
        )
        if len({unit.id for unit in units}) < len(units):
            raise ContractError("two input files have the same unit id; rename one of them")
        return units

    def scan_tasks(self) -> list[ScanTask]:
        storage, units = Storage(), self.units()
        language_model(self.recipe.language_model)  # loaded before threads ask for it
        remote = [StorePath(unit.path) for unit in units if not storage.is_local(unit.path)]

        def task(unit: Unit) -> ScanTask:
            return scan_task(self.recipe, self.recipe.source(unit.source), unit, self.out, storage)

        return map_concurrently(remote[0] if remote else Path(), task, units)


def run(recipe: Recipe, out: Place, pool: Pool, progress: RunProgress, fresh: bool = False) -> dict[str, Any]:
    """Run what is not done yet. Returns ``dataset.json``.

    Raises StaleError where ``out`` holds another recipe's work (``fresh`` discards what the change invalidates),
    DataError beyond the recipe's tolerance, QvlError where another run holds ``out``.
    """
    out = out.resolve()
    curation = Curation(recipe, out)
    with output_lock(out) as check:
        finish_takedown(out)
        pool = GuardedPool(pool, check)
        tasks = curation.scan_tasks()
        refuse_or_discard(recipe, out, tasks, fresh)
        remember_recipe(recipe, out)
        clear_attempts(out)
        scanned = _scan(curation, tasks, pool, progress)
        scoring = score_tasks(recipe, out, [task.unit for task in tasks], scanned)
        if outdated(scoring, fresh):
            discard(curation.layout, [], ledger=True)
            scanned = _scan(curation, tasks, pool, progress)
        scored = run_score(scoring, pool, progress)
        _check_tolerance(recipe, with_pixel_faults(scanned, scored))
        selected = _select(curation, scanned, scoring, pool, progress)
        mark = committed_manifest(curation.layout.stage_manifest("select"))["fingerprint"]
        packing = shard_tasks(curation, [task.unit for task in tasks], selected, mark)
        return _pack(curation, scanned, packing, pool, progress)


def _scan(curation: Curation, tasks: list[ScanTask], pool: Pool, progress: RunProgress) -> list[dict[str, Any]]:
    """Manifests of all units, in order."""
    layout = curation.layout
    done = map_concurrently(curation.out, scanned_unit, tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("scan", len(tasks), len(tasks) - len(todo))
    broken: list[dict[str, Any]] = []
    for _, manifest in pool.map(scan_unit, todo):
        progress.advance(manifest["rows"], manifest["faults"])
        broken += [manifest] if _is_broken(manifest) else []
        _check_units(curation.recipe, broken, len(tasks))
    paths = [layout.unit_manifest(task.unit.id) for task in tasks]
    manifests = map_concurrently(curation.out, committed_manifest, paths)
    _check_tolerance(curation.recipe, manifests)
    content = {
        "units": len(manifests),
        "rows": sum(unit["rows"] for unit in manifests),
        "root": merkle_root(f"{unit['unit']} {unit['hash']}" for unit in manifests),
        "fingerprint": fingerprint([unit["fingerprint"] for unit in manifests]),
    }
    restate_manifest(layout.stage_manifest("scan"), content)
    return manifests


def _check_tolerance(recipe: Recipe, units: list[dict[str, Any]]) -> None:
    """Stop where more is unreadable than the recipe accepts."""
    rows = sum(unit["rows"] for unit in units)
    faults: Counter[str] = Counter()
    for unit in units:
        faults.update({word: n for word, n in unit["faults"].items() if word.startswith("unreadable:")})
    lost = sum(faults.values())
    worst = ", ".join(f"{word} {count}" for word, count in faults.most_common(3))
    if lost > recipe.tolerance.unreadable_rows * rows:
        raise DataError(
            f"{lost} of {rows} rows are unreadable ({worst}), more than tolerance.unreadable_rows "
            f"{recipe.tolerance.unreadable_rows}; mend the input or raise it"
        )
    _check_units(recipe, [unit for unit in units if _is_broken(unit)], len(units))


def _is_broken(unit: dict[str, Any]) -> bool:
    """Could the unit not be read to its end?"""
    return any(word.split(":")[1] in UNIT_FAULTS for word in unit["faults"])


def _check_units(recipe: Recipe, broken: list[dict[str, Any]], units: int) -> None:
    if len(broken) > recipe.tolerance.unreadable_units * units:
        names = ", ".join(f"{unit['name']} ({', '.join(unit['faults'])})" for unit in broken[:3])
        raise DataError(
            f"{len(broken)} of {units} input files cannot be read to their end: {names}; mend them or raise "
            f"tolerance.unreadable_units ({recipe.tolerance.unreadable_units})"
        )


UNIT_FAULTS = frozenset(("unit", "truncated_tar", "damaged_tar", "not_a_tar", "damaged_table"))


def select_fingerprint(recipe: Recipe, scanned: list[dict[str, Any]], scores: str | None = None) -> str:
    """What the verdicts depend on; ``scores`` is the identity of the score stage."""
    judged = {s.name: [recipe.filters_of(s.name).model_dump(), s.priority, s.academic] for s in recipe.sources}
    return fingerprint(
        {
            "version": SELECT_VERSION,
            "units": [[unit["unit"], unit["hash"]] for unit in scanned],
            "filters": judged,
            "dedup": recipe.dedup.model_dump(),
            "scores": scores,
            "benchmarks": benchmarks_identity(recipe),
        }
    )


def _select(
    curation: Curation, scanned: list[dict[str, Any]], scoring: list[ScoreTask], pool: Pool, progress: RunProgress
) -> list[dict[str, Any]]:
    """Ledger manifests of all groups."""
    layout, groups = curation.layout, make_groups(scanned)
    mark = select_fingerprint(curation.recipe, scanned, score_identity(scoring))
    write_groups(curation.out, groups)
    first = SelectTask(curation.out, curation.recipe, mark, 0)
    by_rule = [rule_steps(replace(first, rule=rule)) for rule in range(len(first.rules))]
    steps = 2 + bool(curation.recipe.decontaminate) + sum(map(len, by_rule))
    done = all(ledger_of(SelectTask(first.out, first.recipe, mark, group.number)) is not None for group in groups)
    progress.stage("select", steps, steps if done else 0)
    if not done:
        _select_steps(first, by_rule, pool, progress)
    paths = [layout.group_manifest("ledger", group.number) for group in groups]
    manifests = map_concurrently(curation.out, committed_manifest, paths)
    verdicts = _verdicts_by_source(manifests)
    rows = sum(unit["rows"] for unit in scanned)
    if rows != sum(sum(counts.values()) for counts in verdicts.values()):
        raise ContractError(f"select: {rows} rows in, {verdicts} out")
    content = {"fingerprint": mark, "groups": len(groups), "rows": rows, "verdicts": verdicts}
    restate_manifest(layout.stage_manifest("select"), content)
    return manifests


def _select_steps(first: SelectTask, by_rule: list[list[Step]], pool: Pool, progress: RunProgress) -> None:
    groups = over(first, len(first.groups))
    steps: list[Step] = [(judge, groups), *([(decontaminate, groups)] if first.recipe.decontaminate else [])]
    for step, tasks in [*steps, *(entry for rule in by_rule for entry in rule)]:
        for _ in pool.map(step, tasks):
            pass
        progress.advance()
    drops: Counter[str] = Counter()
    for _, manifest in pool.map(write_ledger, groups):
        for unit in manifest["units"].values():
            drops.update({word: n for word, n in unit["verdicts"].items() if word != KEEP})
    progress.advance(drops=dict(drops))


def _verdicts_by_source(ledgers: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    result: dict[str, Counter[str]] = {}
    for ledger in ledgers:
        for unit in ledger["units"].values():
            result.setdefault(unit["source"], Counter()).update(unit["verdicts"])
    return {source: dict(sorted(counts.items())) for source, counts in sorted(result.items())}


def plans(curation: Curation, ledgers: list[dict[str, Any]], units: list[Unit]) -> list[ShardPlan]:
    """Every shard of the dataset, from the ledgers' sums."""
    kept = {name: u["verdicts"].get(KEEP, 0) for ledger in ledgers for name, u in ledger["units"].items()}
    pack = curation.recipe.pack
    order = windows(pack.seed, pack.window_units, [(unit.id, kept.get(unit.id, 0)) for unit in units])
    return shard_plans(curation.recipe.name, pack.shard_rows, order)


def shard_tasks(curation: Curation, units: list[Unit], ledgers: list[dict[str, Any]], selected: str) -> list[PackTask]:
    """Every shard as a task, bound to the verdicts and to the order that it was planned from."""
    mark = fingerprint(
        {
            "version": PACK_VERSION,
            "select": selected,
            "name": curation.recipe.name,
            "pack": curation.recipe.pack.model_dump(),
        }
    )
    return pack_tasks(curation.recipe, curation.out, plans(curation, ledgers, units), units, mark)


def _pack(
    curation: Curation, scanned: list[dict[str, Any]], tasks: list[PackTask], pool: Pool, progress: RunProgress
) -> dict[str, Any]:
    selected = committed_manifest(curation.layout.stage_manifest("select"))
    done = map_concurrently(curation.out, lambda task: committed_shard(task.out, task.plan, task.fingerprint), tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("pack", len(tasks), len(tasks) - len(todo))
    for _, manifest in pool.map(pack_shard, todo):
        progress.advance(manifest["samples"])
    lineage = {
        "scan": merkle_root(f"{unit['unit']} {unit['hash']}" for unit in scanned),
        "select": selected["fingerprint"],
        "recipe": portable(curation.recipe),
        "rows": selected["rows"],
        "verdicts": selected["verdicts"],
    }
    kept = sum(counts.get(KEEP, 0) for counts in selected["verdicts"].values())
    return finish(curation.recipe.name, curation.out, [task.plan for task in tasks], kept, lineage)
