"""A curation with a judge, against a real service: two tars of coloured squares with captions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from qvl.pipeline.base.pool import Pool, SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.recipe.recipe import Recipe, load_recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.curate.measuring.test_score import dark_png
from tests.pipeline.samples import jpeg, write_img2dataset

UNITS, ROWS = 3, 12


def judge(endpoint: str, **settings: Any) -> dict[str, Any]:
    return {
        **{"name": "judge", "endpoint": endpoint, "model": "tiny", "prompt": "Rate the picture for: {caption}"},
        **{"answer": {"number": {"minimum": 1, "maximum": 5}}, "pause": 0.01, "retries": 2, "concurrency": 4},
        **settings,
    }


def make_data(folder: Path) -> None:
    """Three tars of twelve rows, among them a failed download, a broken image, a short caption and a repeated row."""
    for unit in range(UNITS):
        rows: list[dict[str, Any]] = [
            {
                "key": f"{unit}{i:02d}",
                "caption": f"a red dog number {unit} {i}",
                "url": f"u{i}",
                "image": jpeg(50 * unit + i),
            }
            for i in range(ROWS)
        ]
        rows[3]["image"] = None
        rows[5]["caption"] = "dog"
        rows[7]["image"] = dark_png()
        rows[9]["caption"], rows[9]["image"] = "the same in every tar", jpeg(1_000)
        write_img2dataset(folder / "web", f"{unit:05d}", rows)


def recipe(folder: Path, speakers: list[dict[str, Any]], **more: Any) -> Recipe:
    content: dict[str, Any] = {
        "name": "talk",
        "sources": [{"name": "web", "read": {"kind": "webdataset", "paths": ["web/*.tar"]}}],
        "filters": {"text_length": {"minimum": 6}},
        "dedup": {"image": False, "pair": False, "repeated_text": None},
        "tolerance": {"unreadable_rows": 0.5},
        "speakers": speakers,
        **more,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    return load_recipe(folder / "recipe.yaml")


def curate(
    folder: Path, out: Path, speakers: list[dict[str, Any]], pool: Pool | None = None, fresh: bool = False, **more: Any
) -> DatasetManifest:
    with RunProgress() as progress:
        return run(recipe(folder, speakers, **more), out, pool or SerialPool(), progress, fresh)


def ledger(out: Path, *columns: str) -> list[dict[str, Any]]:
    return pa.concat_tables([table for _, table in read_ledger(out, list(columns))]).to_pylist()


def judged(**limits: Any) -> Mapping[str, Any]:
    """A filter over the judge's answer."""
    return {"text_length": {"minimum": 6}, "columns": {"judge": limits}}
