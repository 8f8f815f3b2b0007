"""Opens the datasets of a recipe. Everything that is missing is reported at once, before any model is loaded."""

from collections.abc import Mapping

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.reader import Dataset, absent_files, open_dataset
from qvl.training.recipe import TrainRecipe

ERRORS_SHOWN = 20


def used_datasets(recipe: TrainRecipe) -> dict[str, Dataset]:
    """The datasets that the stages train on and are evaluated on. Raises DataError."""
    used = dict.fromkeys(part.dataset for stage in recipe.stages for part in stage.mix)
    used |= dict.fromkeys(stage.evaluate.dataset for stage in recipe.stages if stage.evaluate is not None)
    return open_all({name: recipe.datasets[name].path for name in used})


def open_all(paths: Mapping[str, str]) -> dict[str, Dataset]:
    """Datasets by name. Raises DataError that names every dataset, shard and index that is missing or truncated."""
    opened: dict[str, Dataset] = {}
    missing: list[str] = []
    for name, path in paths.items():
        try:
            opened[name] = open_dataset(path)
        except DataError as error:
            missing.append(f"dataset {name}: {error}")
        else:
            missing += [f"dataset {name}: {line}" for line in absent_files(opened[name])]
    if missing:
        more = f"; and {len(missing) - ERRORS_SHOWN} more" if len(missing) > ERRORS_SHOWN else ""
        raise DataError("; ".join(missing[:ERRORS_SHOWN]) + more)
    return opened
