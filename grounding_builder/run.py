"""One build: exclusion list, dataset, report."""

from pathlib import Path
from typing import Any

from grounding_builder.benchmarks import exclusion
from grounding_builder.builder import Grounding
from grounding_builder.recipe import GroundingRecipe
from grounding_builder.report import write_report
from pipeline.build import build
from pipeline.commit import attempt, file_hash, publish
from pipeline.exclusion import Exclusion
from pipeline.pool import Pool
from pipeline.progress import RunProgress
from pipeline.storage import Storage
from pipeline.store import Place

EXCLUSION = "exclusion.parquet"


def run(
    recipe: GroundingRecipe, out: Place, pool: Pool, progress: RunProgress, fresh: bool = False
) -> tuple[dict[str, Any], Place]:
    """Build and report. Returns ``dataset.json`` and the page's path; ``OUT/exclusion.parquet`` is the firewall."""
    excluded = exclusion(recipe.exclude, Storage())
    dataset = build(
        Grounding(recipe.name, recipe.sources, excluded),
        out,
        pool,
        progress,
        shard_rows=recipe.pack.shard_rows,
        seed=recipe.pack.seed,
        fresh=fresh,
    )
    with attempt(out) as private:
        write_exclusion(excluded, private / EXCLUSION)
        publish(private / EXCLUSION, out / EXCLUSION, file_hash(private / EXCLUSION))
    return dataset, write_report(out)


def write_exclusion(excluded: Exclusion, path: Path) -> None:
    """The list as a file, in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    excluded.write(temporary)
    temporary.replace(path)
