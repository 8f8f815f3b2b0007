"""A small curation of a CSV with two caption columns, one of them with gaps."""

import csv
from pathlib import Path
from typing import Any

import yaml

from qvl.pipeline.base.pool import Pool, SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.samples import jpeg

ROWS = 24


def rows() -> list[dict[str, str]]:
    """Rows whose alt text is missing, short, Chinese or good, each with a caption of a model unless the row is the 7th."""
    found = []
    for i in range(ROWS):
        alt = ("", "dog", "一只红色的狗在公园里跑", f"a red dog runs through park {i}")[i % 4]
        model = "" if i % 7 == 6 else f"a photograph of animal number {i} on a lawn"
        found.append({"file": f"{i}.jpg", "TEXT": alt, "top_caption": model})
    return found


def make_table(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["file", "TEXT", "top_caption"])
        writer.writeheader()
        writer.writerows(rows())
    for i in range(ROWS):
        (folder / f"{i}.jpg").write_bytes(jpeg(i))


def content(caption: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    columns = {"path": "file", "captions": {"alt": "TEXT", "recaption": "top_caption"}}
    return {
        "name": "captioned",
        "sources": [
            {
                "name": "web",
                "read": {"kind": "table", "paths": ["t.csv"], "image_folder": ".", "columns": columns},
            }
        ],
        "filters": {"text_length": {"minimum": 6}},
        "pack": {"shard_rows": 7},
        **({"caption": caption} if caption is not None else {}),
        **more,
    }


def curate(
    folder: Path, out: Path, caption: dict[str, Any] | None, fresh: bool = False, pool: Pool | None = None, **more: Any
) -> DatasetManifest:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content(caption, **more)))
    with RunProgress() as progress:
        return run(load_recipe(folder / "recipe.yaml"), out, pool or SerialPool(), progress, fresh)
