"""Several captions of a row: CPU time of scan with one and with two texts, and of the choice between them, per row.

    python benchmarks/captions.py [--rows 20000]

A CSV whose rows share one small image, so that the texts are what differs. The choice is what select adds to each read.
"""

import argparse
import csv
import io
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.scan import scan_unit
from qvl.pipeline.recipe.recipe import Recipe

TWO = {"captions": {"alt": "alt", "model": "model"}}
CHOICES: dict[str, dict[str, Any]] = {"order": {}, "mix": {"mix": {"alt": 0.3, "model": 0.7}}}


def make_table(folder: Path, rows: int) -> None:
    image = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(image, "jpeg")
    (folder / "0.jpg").write_bytes(image.getvalue())
    with (folder / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "alt", "model"])
        for i in range(rows):
            writer.writerow(["0.jpg", f"a red dog runs through the park {i}", f"a photograph of animal {i} on a lawn"])


def recipe(folder: Path, columns: dict[str, Any], **more: Any) -> Recipe:
    read = {"kind": "table", "paths": [str(folder / "t.csv")], "image_folder": str(folder)}
    source = {"name": "web", "read": {**read, "columns": {"path": "file", **columns}}}
    return Recipe.model_validate({"name": "bench", "sources": [source], **more})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    rows = parser.parse_args().rows
    folder, found = Path(tempfile.mkdtemp(prefix="qvl-captions-")), {}
    make_table(folder, rows)
    for name, columns in {"warm": TWO, "one": {"caption": "alt"}, "two": TWO}.items():
        (task,) = Curation(recipe(folder, columns), folder / name).scan_tasks()
        start = time.process_time()
        scan_unit(task)
        found[f"scan_{name}_us"] = round((time.process_time() - start) / rows * 1e6, 2)
    for name, rule in CHOICES.items():
        chosen = TextChoice.of(recipe(folder, TWO, caption=rule, filters={"text_length": {}, "language": {}}), "web")
        start = time.process_time()
        if chosen is not None:
            chosen.read(folder / "two", task.unit.id, ["caption", "characters", "language"], None)
        found[f"choose_{name}_us"] = round((time.process_time() - start) / rows * 1e6, 2)
    shutil.rmtree(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
