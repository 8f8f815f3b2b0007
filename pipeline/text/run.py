"""From a recipe to shards and the report: what ``qvl text build`` and the demo call."""

from typing import Any

from pipeline.build import build
from pipeline.pool import Pool
from pipeline.progress import RunProgress
from pipeline.store import Place
from pipeline.text.builder import text_builder
from pipeline.text.recipe import TextRecipe
from pipeline.text.report import write_report


def run(
    recipe: TextRecipe, out: Place, pool: Pool, progress: RunProgress, fresh: bool = False
) -> tuple[dict[str, Any], Place]:
    """Build and report. Returns ``dataset.json`` and the page's place."""
    dataset = build(
        text_builder(recipe), out, pool, progress, shard_rows=recipe.shard_rows, seed=recipe.seed, fresh=fresh
    )
    return dataset, write_report(out)
