"""The recipe of a run, noted in its folder: a run resumes only with the recipe and the datasets that it began with."""

from pathlib import Path
from typing import cast

from pydantic import JsonValue

from qvl.pipeline.base.differences import json_differences
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
        names = json_differences(_essence(before.recipe), _essence(content))
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


def _essence(content: dict[str, JsonValue]) -> dict[str, JsonValue]:
    stages: list[JsonValue] = [
        {key: value for key, value in stage.items() if key not in MAY_CHANGE}
        for stage in cast(list[dict[str, JsonValue]], content["stages"])
    ]
    datasets: list[JsonValue] = [*sorted(cast(dict[str, JsonValue], content["datasets"]))]
    start = Path(str(content["start"])).name
    return {**content, "stages": stages, "datasets": datasets, "tokenizer": None, "start": start}
