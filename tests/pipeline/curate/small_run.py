"""A small curation of two tars and a table: thirty-two rows, among them failures, short captions and duplicates."""

import json
from pathlib import Path
from typing import Any

import yaml

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.shards.manifests import DatasetManifest
from tests.pipeline.samples import jpeg, write_img2dataset

ROWS = 12


def content(**more: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "sources": [
            {"name": "web", "read": {"kind": "webdataset", "paths": ["web/*.tar"]}},
            {
                "name": "disk",
                "priority": 1,
                "read": {
                    **{"kind": "table", "paths": ["disk/t.jsonl"], "image_folder": "disk"},
                    "columns": {"caption": "text", "path": "file"},
                },
            },
        ],
        "filters": {"image_size": {"minimum_side": 20}, "text_length": {"minimum": 6}},
        "pack": {"shard_rows": 7, "window_units": 2},
        "tolerance": {"unreadable_rows": 0.3, "unreadable_units": 0.5},
        **more,
    }


def make_data(folder: Path) -> None:
    """Two tars and a table: thirty-two rows, among them failures, short captions and duplicates."""
    for tar in range(2):
        rows: list[dict[str, Any]] = [
            {
                "key": f"{tar}{i:02d}",
                "caption": f"a red dog number {tar} {i}",
                "url": f"u{i}",
                "image": jpeg(tar * 50 + i),
            }
            for i in range(ROWS)
        ]
        rows[3]["image"] = None
        rows[5]["caption"] = "dog"
        write_img2dataset(folder / "web", f"{tar:05d}", rows, count=ROWS + 1)
    (folder / "disk").mkdir()
    lines = []
    for i in range(6):
        (folder / "disk" / f"{i}.jpg").write_bytes(jpeg(i if i < 2 else 200 + i))
        lines.append({"text": f"a blue cat with number {i}", "file": f"{i}.jpg"})
    (folder / "disk" / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))


def curate(data: Path, out: Path, fresh: bool = False, **more: Any) -> DatasetManifest:
    (data / "recipe.yaml").write_text(yaml.safe_dump(content(**more)))
    with RunProgress() as progress:
        return run(load_recipe(data / "recipe.yaml"), out, SerialPool(), progress, fresh)


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
