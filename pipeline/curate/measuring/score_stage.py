"""Stage score in the driver: which units are to be scored, and what the workers returned."""

from dataclasses import replace
from pathlib import Path

from qvl.pipeline.base.errors import ContractError, RecipeError, StaleError
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, read_manifest, restate_manifest
from qvl.pipeline.curate.measuring.added_columns import AddedColumns
from qvl.pipeline.curate.measuring.manifests import ComputedManifest, ScanManifest, ScoreManifest, ScoreSummary
from qvl.pipeline.curate.measuring.score import ScoredUnit, ScoreTask, score_task, score_unit, scored_unit
from qvl.pipeline.curate.measuring.score_columns import SCORED
from qvl.pipeline.curate.measuring.scorers import ScorerTask
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.plugins.operators import ScorerPlugin
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.score import ClipModel
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.storage.paths import AnyPath, map_concurrently


def weights_identity(model: ClipModel) -> str:
    """Hashes of a weights file and its configuration file; open_clip's own names stand for themselves.

    Raises RecipeError if a file does not exist.
    """
    named = (model.model, model.model.endswith(".json")), (model.pretrained, model.is_file)
    for path in (name for name, is_file in named if is_file):
        if not Path(path).is_file():
            raise RecipeError(f"score.clip: {path}: no such file")
    return " ".join(file_hash(Path(name)) if is_file else name for name, is_file in named)


def score_tasks(
    recipe: Recipe,
    out: AnyPath,
    units: list[Unit],
    scanned: list[ScanManifest],
    added: AddedColumns,
    scorers: tuple[ScorerPlugin, ...] = (),
) -> list[ScoreTask]:
    """A task for each unit; none if the recipe asks for no scores."""
    if recipe.score is None:
        return []
    models = recipe.score.clip.models() if recipe.score.clip else {}
    weights = {name: weights_identity(model) for name, model in models.items()}
    return [
        score_task(recipe, recipe.source(unit.source), unit, out, manifest.hash, weights, added, scorers)
        for unit, manifest in zip(units, scanned, strict=True)
    ]


def scores_are_outdated(tasks: list[ScoreTask], fresh: bool) -> bool:
    """True if stored scores come from other weights or were chosen by other filters. Raises StaleError unless ``fresh``."""
    if not tasks:
        return False
    out = tasks[0].out
    scorers = [(each, f"values of {each.plugin.name} for {task.unit.name}") for task in tasks for each in task.scorers]
    computed = map_concurrently(out, lambda pair: read_manifest(pair[0].manifest, ComputedManifest), scorers)
    paths = [Layout(out).score_manifest(task.unit.id) for task in tasks]
    scored = map_concurrently(out, lambda path: read_manifest(path, ScoreManifest), paths)
    stored: list[tuple[ScorerTask | ScoreTask, str, ComputedManifest | ScoreManifest | None]] = [
        *((each, what, manifest) for (each, what), manifest in zip(scorers, computed, strict=True)),
        *((task, f"scores of {task.unit.name}", manifest) for task, manifest in zip(tasks, scored, strict=True)),
    ]
    for made, what, manifest in stored:
        if manifest is None or manifest.fingerprint == made.fingerprint:
            continue
        if fresh:
            return True
        changed = [name for name, value in made.parts.items() if manifest.parts.get(name) != value]
        raise StaleError(
            f"{out} holds {what} that were made with different {', '.join(changed) or 'filters'}. Choose another --output, "
            f"or run with --fresh ({what.split()[0]} that did not change are kept)"
        )
    return False


def run_score(tasks: list[ScoreTask], pool: Pool, progress: RunProgress) -> list[ScoredUnit]:
    """Score every unit that is not scored yet. Returns the manifests of all units, in order.

    Returns none if the recipe asks for no scores.
    """
    if not tasks:
        return []
    layout = Layout(tasks[0].out)
    done = map_concurrently(layout.out, scored_unit, tasks)
    todo = [task for task, manifest in zip(tasks, done, strict=True) if manifest is None]
    progress.stage("score", len(tasks), len(tasks) - len(todo))
    for _, unit in pool.map(score_unit, todo, tasks[0].needs):
        states = {**unit.scores.states, **_faults_of_scorers(unit)}
        progress.advance(unit.scores.rows, {state: n for state, n in states.items() if state != SCORED})
    scored = map_concurrently(layout.out, _committed, tasks)
    manifests = [unit.scores for unit in scored]
    if len({fingerprint(manifest.weights) for manifest in manifests}) > 1:
        raise ContractError(
            "workers scored with different weights of the same name; compare their open_clip download caches"
        )
    summary = ScoreSummary(
        units=len(manifests),
        rows=sum(manifest.rows for manifest in manifests),
        fingerprint=merkle_root(f"{manifest.unit} {manifest.hash}" for manifest in manifests),
    )
    restate_manifest(layout.stage_manifest("score"), summary)
    return scored


def _committed(task: ScoreTask) -> ScoredUnit:
    scores = committed_manifest(Layout(task.out).score_manifest(task.unit.id), ScoreManifest)
    return ScoredUnit(scores, tuple(committed_manifest(each.manifest, ComputedManifest) for each in task.scorers))


def _faults_of_scorers(unit: ScoredUnit) -> dict[str, int]:
    """The number of rows without a value, by reason. An image that cannot be decoded is one fault, not one per scorer."""
    faults: dict[str, int] = {}
    for manifest in unit.scorers:
        for fault, count in manifest.faults.items():
            faults[fault] = max(faults.get(fault, 0), count)
    return faults


def with_pixel_faults(scanned: list[ScanManifest], scored: list[ScoredUnit]) -> list[ScanManifest]:
    """Scan's manifests, whose faults now include the rows that have a valid header but could not be decoded or scored."""
    if not scored:
        return scanned
    return [
        replace(unit, faults={**unit.faults, **_faults_of_scorers(score), **pixel_faults(score.scores)})
        for unit, score in zip(scanned, scored, strict=True)
    ]


def pixel_faults(manifest: ScoreManifest) -> dict[str, int]:
    """The number of rows that could not be decoded, by reason."""
    return {state: count for state, count in manifest.states.items() if state.startswith(BAD)}


def score_identity(tasks: list[ScoreTask]) -> str | None:
    """What the verdicts depend on in this stage: the models and the inputs, but not which other rows have scores."""
    if not tasks:
        return None
    return fingerprint([[task.unit.id, task.parts, *(each.parts for each in task.scorers)] for task in tasks])
