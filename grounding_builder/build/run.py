"""Build a grounding dataset: exclusion list, shards, report."""

from pathlib import Path

from qvl.grounding_builder.build.benchmarks import exclusion
from qvl.grounding_builder.build.builder import Grounding
from qvl.grounding_builder.build.recipe import GroundingRecipe
from qvl.grounding_builder.report.report import write_report
from qvl.pipeline.base.pool import Pool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.builders.build import build
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.storage.atomic import replacing
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

EXCLUSION = "exclusion.parquet"


def run(
    recipe: GroundingRecipe, out: AnyPath, pool: Pool, progress: RunProgress, fresh: bool = False
) -> tuple[DatasetManifest, AnyPath]:
    """Build the dataset, ``OUT/exclusion.parquet`` and the report. Returns ``dataset.json`` and the path of the page."""
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
    """Write the list to a file atomically."""
    with replacing(path) as temporary:
        excluded.write(temporary)
