"""Stage select in the driver: filters, decontamination, duplicate rules, balance and the ledger, step after step.

Every step is a pure function over groups or partitions with a manifest of its own: ``judge`` -> ``decontaminate`` -> the
steps of each duplicate rule (``rule_steps``) -> those of balance -> ``write_ledger``. Only columns are read, never a pixel.
"""

from collections import Counter
from dataclasses import replace

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, restate_manifest
from qvl.pipeline.curate.measuring.added_columns import AddedColumns
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.curate.measuring.score import ScoreTask
from qvl.pipeline.curate.measuring.score_stage import score_identity
from qvl.pipeline.curate.selection.decontaminate import benchmarks_identity, decontaminate
from qvl.pipeline.curate.selection.groups import make_groups, write_groups
from qvl.pipeline.curate.selection.judge import judge
from qvl.pipeline.curate.selection.language_losses import language_warnings
from qvl.pipeline.curate.selection.manifests import LedgerManifest, SelectSummary
from qvl.pipeline.curate.selection.rule_steps import Step, balance_steps, rule_steps, tasks_over
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.write_ledger import write_ledger, written_ledger
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.paths import AnyPath, map_concurrently

SELECT_VERSION = 2


def select_fingerprint(
    recipe: Recipe, scanned: list[ScanManifest], scores: str | None = None, computed: str | None = None
) -> str:
    """Hash of everything that the verdicts depend on; ``scores`` and ``computed`` identify scores and plug-ins' columns."""
    judged = {s.name: [recipe.filters_of(s.name).settings(), s.priority, s.academic] for s in recipe.sources}
    return fingerprint(
        {
            "version": SELECT_VERSION,
            "units": [[unit.unit, *unit.hashes()] for unit in scanned],
            "filters": judged,
            "dedup": recipe.duplicate_settings(),
            "scores": scores,
            "benchmarks": benchmarks_identity(recipe),
            **({"computed": computed} if computed is not None else {}),
            **({"balance": [step.identity() for step in recipe.balance]} if recipe.balance else {}),
            **({"captions": _chosen(recipe)} if recipe.has_captions() else {}),
        }
    )


def _chosen(recipe: Recipe) -> dict[str, object]:
    """How the rows of each source get their text."""
    choices = {source.name: TextChoice.of(recipe, source.name) for source in recipe.sources}
    return {name: choice.identity() for name, choice in choices.items() if choice is not None}


def run_select(
    recipe: Recipe,
    out: AnyPath,
    scanned: list[ScanManifest],
    scoring: list[ScoreTask],
    added: AddedColumns,
    pool: Pool,
    progress: RunProgress,
) -> tuple[SelectSummary, list[LedgerManifest]]:
    """Judge every row, unless that is done. Returns the summary and the ledger manifests of all groups."""
    groups = make_groups(scanned)
    identity = select_fingerprint(recipe, scanned, score_identity(scoring), added.identity)
    first = SelectTask(out, recipe, identity, 0, added=added)
    write_groups(out, groups)
    steps = steps_before_the_ledger(first)
    ledger_tasks = tasks_over(first, len(groups))
    done = all(written_ledger(task) is not None for task in ledger_tasks)
    total = len(steps) + 1
    progress.stage("select", total, total if done else 0)
    if not done:
        _run_steps(steps, pool, progress)
        _run_ledger(ledger_tasks, pool, progress)
    layout = Layout(out)
    paths = [layout.group_manifest("ledger", group.number) for group in groups]
    ledgers = map_concurrently(out, lambda path: committed_manifest(path, LedgerManifest), paths)
    summary = _summarize(first.fingerprint, ledgers, sum(unit.rows for unit in scanned))
    for line in language_warnings(recipe, ledgers):
        progress.warn(line)
    return restate_manifest(layout.stage_manifest("select"), summary), ledgers


def steps_before_the_ledger(first: SelectTask) -> list[Step]:
    """All steps that decide verdicts, in order."""
    groups = tasks_over(first, len(first.groups))
    steps = [Step(judge, groups)]
    if first.recipe.decontaminate:
        steps.append(Step(decontaminate, groups))
    for rule in range(len(first.rules)):
        steps += rule_steps(replace(first, rule=rule))
    for number in range(len(first.recipe.balance)):
        steps += balance_steps(replace(first, rule=number))
    return steps


def _run_steps(steps: list[Step], pool: Pool, progress: RunProgress) -> None:
    for step in steps:
        for _ in pool.map(step.function, step.tasks):
            pass
        progress.advance()


def _run_ledger(tasks: list[SelectTask], pool: Pool, progress: RunProgress) -> None:
    drops: Counter[str] = Counter()
    for _, manifest in pool.map(write_ledger, tasks):
        for unit in manifest.units.values():
            drops.update({reason: rows for reason, rows in unit.verdicts.items() if reason != KEEP})
    progress.advance(drops=dict(drops))


def _summarize(select: str, ledgers: list[LedgerManifest], rows: int) -> SelectSummary:
    """The summary of the stage. Raises ContractError unless every scanned row has exactly one verdict."""
    by_source: dict[str, Counter[str]] = {}
    for ledger in ledgers:
        for unit in ledger.units.values():
            by_source.setdefault(unit.source, Counter()).update(unit.verdicts)
    verdicts = {source: dict(sorted(counts.items())) for source, counts in sorted(by_source.items())}
    if rows != sum(counts.total() for counts in by_source.values()):
        raise ContractError(f"select: {rows} rows in, {verdicts} out")
    return SelectSummary(select, len(ledgers), rows, verdicts)
