"""A small finished run: two sources of real files with known sizes, captions and duplicates."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.samples import encoded, jpeg, picture

SIDES = (20, 30, 40, 50, 60, 70)
FILTERS = {
    "image_format": {"allowed": ["jpeg", "png"]},
    "image_pixels": {"maximum": 10_000_000},
    "animated": {},
    "image_size": {"minimum_side": 40},
    "aspect_ratio": {"maximum": 2.0},
    "text_length": {"minimum": 6, "maximum": 60},
    "characters": {"maximum_share": 0.0},
    "clip": {"minimum": 0.3},
}


@dataclass(frozen=True)
class Run:
    recipe: Recipe
    out: Path


def write_source(folder: Path, rows: list[dict[str, Any]], files: dict[str, bytes]) -> dict[str, Any]:
    """A JSONL file next to its images, and how a recipe reads it."""
    (folder / "images").mkdir(parents=True)
    for name, data in files.items():
        (folder / "images" / name).write_bytes(data)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {"caption": "caption", "url": "url", "path": "file", "clip": "clip"}
    return {
        "kind": "table",
        "paths": [str(folder / "rows.jsonl")],
        "image_folder": str(folder / "images"),
        "columns": columns,
    }


def finish(content: dict[str, Any], out: Path) -> Run:
    recipe = Recipe.model_validate(content)
    with RunProgress() as progress:
        run(recipe, out, SerialPool(), progress)
    return Run(recipe, out)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``one``: a picture per side; three copies of one picture; a wide one. ``two``: other thresholds, a missing file."""
    folder = tmp_path_factory.mktemp("report")
    files = {f"{side}.jpg": jpeg(side, side + 2, side) for side in SIDES}
    files |= {f"copy{i}.jpg": jpeg(99, 64, 64) for i in range(3)} | {"wide.jpg": jpeg(7, 120, 48)}
    files["turning.gif"] = encoded(picture(48, 48), "gif", save_all=True, append_images=[picture(48, 48, seed=1)])
    rows = [
        {"file": name, "caption": f"a picture called {name}", "url": "", "clip": round(0.2 + i / 50, 4)}
        for i, name in enumerate(files)
    ]
    first = write_source(folder / "one", rows, files)
    more = {f"{side}.png": encoded(picture(side, side, seed=500 + side), "png") for side in SIDES}
    rows = [{"file": name, "caption": "a label that repeats", "url": "", "clip": 0.5} for name in more]
    rows.append({"file": "nowhere.png", "caption": "a picture that is missing", "url": "", "clip": 0.5})
    second = write_source(folder / "two", rows, more)
    content = {
        "name": "small",
        "sources": [
            {"name": "one", "read": first},
            {
                "name": "two",
                "read": second,
                "filters": {"image_size": {"minimum_side": 60}, "clip": None},
                "table2": {"dataset": "Coyo", "original": 700_000_000, "cleaned": 200_000_000},
            },
        ],
        "filters": FILTERS,
        "dedup": {"repeated_text": 1},
        "tolerance": {"unreadable_rows": 0.5},
    }
    return finish(content, folder / "out")
