"""Curation from Python: ``qvl.curate``. The command ``qvl curate run`` calls the same functions."""

from pathlib import Path

from qvl.pipeline.api.output import Output
from qvl.pipeline.base.pool import open_pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import Recipe, check_output, load_recipe
from qvl.pipeline.report.page import write_report
from qvl.pipeline.storage.paths import parse_path


def curate(
    recipe: Recipe | str | Path,
    output: str | Path,
    *,
    workers: str = "serial",
    address: str | None = None,
    fresh: bool = False,
) -> Output:
    """Scan, score, select and pack whatever is not done yet, write the report, and return the finished output.

    ``recipe``: a recipe or the path of one. ``output``: a folder or an fsspec URL such as ``s3://bucket/run``. The same
    recipe and inputs give the same bytes with any ``workers``: ``serial`` is this process, ``ray`` all cores of this machine
    or, with ``address``, a cluster. An interrupted call is resumed by the same call. ``fresh`` discards what a changed
    recipe or input invalidates; without it such an output is refused.

    Raises RecipeError for a recipe that cannot run, StaleError for an output of a different recipe or of different inputs,
    DataError if more is unreadable than the recipe tolerates, and QvlError if another run holds the output.
    """
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(Path(recipe))
    out = parse_path(output)
    check_output(chosen, out)
    with RunProgress() as progress:
        run(chosen, out, open_pool(workers, address), progress, fresh)
        write_report(out, progress, chosen)
    return Output(out)
