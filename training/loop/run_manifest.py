"""The recipe of a run, noted in its folder: a run resumes only with the recipe and the datasets that it began with."""

from pathlib import Path
from typing import Any

from pydantic import JsonValue

from qvl.pipeline.base.errors import StaleError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.commit.manifests import read_manifest
from qvl.training.loop.records import RunManifest, write_record
from qvl.training.recipe import TrainRecipe

MANIFEST = "run.json"
MAY_CHANGE = ("engine", "save", "evaluate", "tolerance")
"""Parts of a stage that may differ between two starts of one run."""


def accept_recipe(recipe: TrainRecipe, output: Path, hashes: dict[str, str]) -> None:
    """Note the recipe and the datasets' hashes. Raises StaleError where the run began with others.

    The parts of a stage in MAY_CHANGE may differ. A dataset from which samples were taken down may not, because its samples
    would come in another order.
    """
    content = recipe.model_dump(mode="json")
    manifest = RunManifest(content, recipe_fingerprint(recipe), hashes)
    before = read_manifest(output / MANIFEST, RunManifest)
    if before is not None and before.fingerprint != manifest.fingerprint:
        names = _differences(_essence(before.recipe), _essence(content))
        raise StaleError(f"{output} was built from a different recipe ({'; '.join(names)}); choose another --output")
    known = hashes if before is None or before.datasets is None else before.datasets
    changed = sorted(name for name in hashes if known.get(name) != hashes[name])
    if changed:
        raise StaleError(
            f"{output}: the samples of {', '.join(changed)} have changed since the run began; restore them, or choose "
            "another --output"
        )
    write_record(output / MANIFEST, manifest)


def recipe_fingerprint(recipe: TrainRecipe) -> str:
    """The hash of everything that alters the result. Paths, precision, and how often the run saves or scores do not."""
    return fingerprint(_essence(recipe.model_dump(mode="json")))


def _essence(content: dict[str, Any]) -> dict[str, Any]:
    stages = [{key: value for key, value in stage.items() if key not in MAY_CHANGE} for stage in content["stages"]]
    datasets = sorted(content["datasets"])
    return {**content, "stages": stages, "datasets": datasets, "tokenizer": None, "start": Path(content["start"]).name}


def _differences(before: JsonValue, after: JsonValue, key: str = "") -> list[str]:
    """What differs, as ``stages.0.steps: 100 -> 200``."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted({*before, *after})
        return [line for name in names for line in _differences(before.get(name), after.get(name), f"{key}.{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for at, (old, new) in pairs for line in _differences(old, new, f"{key}.{at}")]
    return [] if before == after else [f"{key.lstrip('.')}: {before} -> {after}"]
