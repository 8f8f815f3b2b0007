"""Build and report a text dataset: called by ``qvl text build`` and by the demo."""

from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.builders.text.builder import text_builder
from qvl.pipeline.builders.text.recipe import TextRecipe
from qvl.pipeline.builders.text.report import write_report
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.paths import AnyPath


def run(
    recipe: TextRecipe, out: AnyPath, pool: Pool, progress: RunProgress, fresh: bool = False
) -> tuple[DatasetManifest, AnyPath]:
    """Build the dataset and write its report. Returns ``dataset.json`` and the path of the page."""
    dataset = build(
        text_builder(recipe), out, pool, progress, shard_rows=recipe.shard_rows, seed=recipe.seed, fresh=fresh
    )
    return dataset, write_report(out)
