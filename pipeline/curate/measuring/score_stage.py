"""Stage score as the driver sees it: which units are to be scored, and what came of it."""

from pathlib import Path
from typing import Any

from qvl.pipeline.base.errors import ContractError, RecipeError, StaleError
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest, read_committed, read_manifest, restate_manifest
from qvl.pipeline.curate.measuring.score import SCORED, ScoreTask, pixel_faults, score_task, score_unit
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.score import ClipModel
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.storage.paths import Place, map_concurrently

Manifest = dict[str, Any]


def weights_identity(model: ClipModel) -> str:
    """Hashes of a file of weights and of its configuration; open_clip's own names stand for themselves.

    Raises RecipeError where a file is not there.
    """
    named = (model.model, model.model.endswith(".json")), (model.pretrained, model.is_file)
    for path in (name for name, is_file in named if is_file):
        if not Path(path).is_file():
            raise RecipeError(f"score.clip: {path}: no such file")
    return " ".join(file_hash(Path(name)) if is_file else name for name, is_file in named)


def score_tasks(recipe: Recipe, out: Place, units: list[Unit], scanned: list[Manifest]) -> list[ScoreTask]:
    """A task per unit; none where the recipe asks for no scores."""
    if recipe.score is None:
        return []
    models = recipe.score.clip.models() if recipe.score.clip else {}
    weights = {name: weights_identity(model) for name, model in models.items()}
    return [
        score_task(recipe, recipe.source(unit.source), unit, out, manifest["hash"], weights)
        for unit, manifest in zip(units, scanned, strict=True)
    ]


def outdated(tasks: list[ScoreTask], fresh: bool) -> bool:
    """True where scores were made with other weights or for other rows. Raises StaleError unless ``fresh``."""
    if not tasks:
        return False
    layout = Layout(tasks[0].out)
    manifests = map_concurrently(layout.out, lambda task: read_manifest(layout.score_manifest(task.unit.id)), tasks)
    for task, manifest in zip(tasks, manifests, strict=True):
        if manifest is None or manifest["fingerprint"] == task.fingerprint:
            continue
        if fresh:
            return True
        changed = [name for name, value in task.parts.items() if manifest["parts"].get(name) != value]
        raise StaleError(
            f"{task.out} holds scores of {task.unit.name} that were made with other {', '.join(changed) or 'filters'}. "
            "Choose another --output, or run with --fresh (scores that did not change are kept)"
        )
    return False


def run_score(tasks: list[ScoreTask], pool: Pool, progress: RunProgress) -> list[Manifest]:
    """Manifests of all units, in order; none where the recipe asks for no scores."""
    if not tasks:
        return []
    layout = Layout(tasks[0].out)
    done = map_concurrently(layout.out, _done, tasks)
    todo = [task for task, already in zip(tasks, done, strict=True) if not already]
    progress.stage("score", len(tasks), len(tasks) - len(todo))
    for _, manifest in pool.map(score_unit, todo, tasks[0].needs):
        progress.advance(manifest["rows"], {word: n for word, n in manifest["states"].items() if word != SCORED})
    paths = [layout.score_manifest(task.unit.id) for task in tasks]
    manifests = map_concurrently(layout.out, committed_manifest, paths)
    weights = {fingerprint(manifest.get("weights")) for manifest in manifests}
    if len(weights) > 1:
        raise ContractError("workers scored with different weights under one name; compare their caches of open_clip")
    content = {
        "units": len(manifests),
        "rows": sum(unit["rows"] for unit in manifests),
        "fingerprint": merkle_root(f"{unit['unit']} {unit['hash']}" for unit in manifests),
    }
    restate_manifest(layout.stage_manifest("score"), content)
    return manifests


def _done(task: ScoreTask) -> bool:
    layout = Layout(task.out)
    path = layout.score_manifest(task.unit.id)
    return read_committed(path, task.fingerprint, task.files) is not None


def with_pixel_faults(scanned: list[Manifest], scored: list[Manifest]) -> list[Manifest]:
    """Scan's manifests with the rows added that have a header but no picture."""
    if not scored:
        return scanned
    return [
        {**unit, "faults": {**unit["faults"], **pixel_faults(score)}}
        for unit, score in zip(scanned, scored, strict=True)
    ]


def score_identity(tasks: list[ScoreTask]) -> str | None:
    """What the verdicts depend on of this stage: the models and the inputs, not which other rows have scores."""
    return fingerprint([[task.unit.id, task.parts] for task in tasks]) if tasks else None
