"""Small curations of two sources, for questions to a finished run."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import read_ledger
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.samples import encoded, picture

CAPTION_WORDS = ["red", "green", "blue", "house", "tree", "river", "cat", "dog", "bird", "hill", "road", "boat"]


def content(folder: Path) -> dict[str, Any]:
    columns = {"caption": "text", "path": "file", "clip": "similarity"}
    sources = [
        {
            "name": name,
            "priority": number,
            "table2": {"dataset": name, "original": 100, "cleaned": 40 + 10 * number},
            "read": {
                "kind": "table",
                "paths": [str(folder / f"{name}-*.jsonl")],
                "image_folder": str(folder),
                "columns": columns,
            },
        }
        for number, name in enumerate(("web", "books"))
    ]
    return {
        "name": "small",
        "sources": sources,
        "filters": {"text_length": {"minimum": 8}, "clip": {"minimum": 0.2}, "image_size": {"minimum_side": 30}},
        "score": {"phash": {}, "always": True},
        "dedup": {"near_duplicate": {}, "repeated_text": 2},
        "tolerance": {"unreadable_rows": 0.5, "unreadable_units": 1},
    }


def write_data(folder: Path) -> None:
    """Two sources of two tables: equal and nearly equal pictures, repeated captions, missing scores, broken files."""
    random = np.random.default_rng(5)
    for number in range(60):
        base = picture(48, 36, seed=int(random.integers(25)))
        side = int(random.choice([24, 40, 48]))
        image = base.resize((48, side), Image.Resampling.LANCZOS)
        (folder / f"{number}.jpg").write_bytes(encoded(image, "jpeg", quality=int(random.choice([60, 90]))))
    (folder / "60.jpg").write_bytes(b"broken")
    for name in ("web", "books"):
        for table in range(2):
            lines = []
            for _ in range(70):
                text = " ".join(random.choice(CAPTION_WORDS, int(random.integers(1, 4))))
                clip = None if random.random() < 0.1 else round(float(random.random()) * 0.4, 4)
                lines.append({"text": text, "file": f"{random.integers(61)}.jpg", "similarity": clip})
            (folder / f"{name}-{table}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content(folder)))


def curate(recipe: Recipe, out: Path) -> None:
    with RunProgress() as progress:
        run(recipe, out, SerialPool(), progress)


def verdicts(out: Path) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for _, table in read_ledger(out, ["source", "verdict"]):
        for row in table.to_pylist():
            found.setdefault(row["source"], Counter())[row["verdict"]] += 1
    return found


def ids(out: Path) -> dict[str, str]:
    return {r["id"]: r["verdict"] for _, t in read_ledger(out, ["id", "verdict"]) for r in t.to_pylist()}
