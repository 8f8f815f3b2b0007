"""What a run will cost, from rates: rows, bytes, core-hours and GPU-hours by stage, before anything starts.

Rates are rows per second of one core (of one GPU for ``clip``, where there is one): given, or measured on the first rows of
the first unit.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.measuring.measure import measure
from qvl.pipeline.curate.measuring.scan import ScanTask, language_model
from qvl.pipeline.images.decode import PixelError, decode, decode_scaled
from qvl.pipeline.images.perceptual_hash import hash_image
from qvl.pipeline.recipe.recipe import Recipe, reader
from qvl.pipeline.recipe.score import Clip
from qvl.pipeline.storage.reader import Storage

STAGES = ("scan", "score", "clip")
SAMPLE_ROWS = 2_048
SAMPLE_IMAGES = 100
BYTES_PER_ROW = 45_000  # of web images, where no row was seen yet


@dataclass(frozen=True)
class Rates:
    """Rows per second and core by stage (``clip``: per ``clip_on``), and bytes per row of what was looked at."""

    per_second: dict[str, float]
    bytes_per_row: float = BYTES_PER_ROW
    clip_on: Literal["gpu", "core"] = "gpu"


def given_rates(texts: Iterable[str]) -> Rates:
    """Rates as written on a command line: ``scan=2900``. Raises RecipeError for anything else."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise RecipeError(f"--rate {text}: write it as STAGE=ROWS_PER_SECOND, for example scan=2900") from None
        if name not in (*STAGES, "bytes_per_row") or not found[name] > 0:
            raise RecipeError(f"--rate {text}: {', '.join(STAGES)} or bytes_per_row, and a number above 0")
    size = found.pop("bytes_per_row", BYTES_PER_ROW)
    return Rates(found, size)


def measured_rates(recipe: Recipe, tasks: list[ScanTask]) -> Rates:
    """Rates of this machine on the first rows of the first unit: processor seconds of one core."""
    if not tasks:
        raise RecipeError("there is no input to measure on")
    task, storage = tasks[0], Storage()
    model, rows, pairs, size, spent = language_model(task.language_model), 0, list[tuple[bytes, str]](), 0, 0.0
    start = time.process_time()
    for batch in reader(recipe.source(task.unit.source)).read(task.unit, storage):
        if rows == 0:  # the first rows also pay for what is set up once
            measure(batch[:8], 0, task.clean, model)
            start = time.process_time()
        measure(batch, rows, task.clean, model)
        rows += len(batch)
        spent = time.process_time() - start
        size += sum(len(row.image) for row in batch if row.image is not None)
        readable = ((bytes(row.image), bytes(row.caption).decode("utf-8", "replace")) for row in batch if row.image)
        pairs += islice(readable, SAMPLE_IMAGES - len(pairs))
        if rows >= SAMPLE_ROWS:
            break
    start = time.process_time()
    for data, _ in pairs:
        try:
            hash_image(decode(data))
        except PixelError:
            continue
    scoring = time.process_time() - start
    rates = {"scan": rows / max(spent, 1e-6), "score": len(pairs) / max(scoring, 1e-6)}
    if recipe.score is None or recipe.score.clip is None:
        return Rates(rates, size / max(rows, 1))
    clip_rate, clip_on = measured_clip(recipe.score.clip, pairs)
    return Rates({**rates, "clip": clip_rate}, size / max(rows, 1), clip_on)


def measured_clip(clip: Clip, pairs: list[tuple[bytes, str]]) -> tuple[float, Literal["gpu", "core"]]:
    """Pairs per second of the towers: by the clock on a GPU, by processor time of one core without."""
    from qvl.pipeline.images.clip import scorer

    model, _ = scorer(clip.english, clip.compile)
    inputs = []
    for data, caption in pairs:
        try:
            inputs.append((model.prepare(*decode_scaled(data, model.side)), model.tokens(caption)))
        except PixelError:
            continue
    squares, tokens = zip(*inputs, strict=True)
    model.scores(squares[:8], tokens[:8])
    on_gpu = model.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    start = clock()
    model.scores(squares, tokens)
    return len(inputs) / max(clock() - start, 1e-6), "gpu" if on_gpu else "core"


def price(recipe: Recipe, sources: dict[str, dict[str, int]], rates: Rates) -> dict[str, Any]:
    """Rows still to be scanned and what they cost. Scores are priced as if no filter dropped a row: an upper bound."""
    known = sum(entry["rows"] for entry in sources.values())
    size = sum(entry["bytes"] for entry in sources.values())
    todo = sum(
        entry["bytes"] * (entry["units"] - entry["reused"]) / max(entry["units"], 1) for entry in sources.values()
    )
    new = round(todo / rates.bytes_per_row)
    rows = known + new
    work = {"scan": new}
    if recipe.score is not None:
        work["score"] = rows
        if recipe.score.clip is not None:
            work["clip"] = rows
    hours = {
        stage: round(count / rates.per_second[stage] / 3600, 4) if stage in rates.per_second else None
        for stage, count in work.items()
    }
    on_cores = ("scan", "score", "clip") if rates.clip_on == "core" else ("scan", "score")
    cores = [hours[stage] for stage in on_cores if hours.get(stage) is not None]
    return {
        "rows": rows,
        "rows_estimated": new,
        "bytes": size,
        "bytes_per_row": round(rates.bytes_per_row),
        "rates": {stage: round(rate, 1) for stage, rate in rates.per_second.items()},
        "hours": hours,
        "core_hours": round(sum(value or 0 for value in cores), 4) if cores else None,
        "gpu_hours": hours.get("clip") if rates.clip_on == "gpu" else None,
        "clip_on": rates.clip_on,
    }


def price_lines(content: dict[str, Any]) -> list[str]:
    """The price in words."""
    lines = [
        f"about {content['rows']:,} rows ({content['rows_estimated']:,} of them estimated at "
        f"{content['bytes_per_row']:,} bytes each), {content['bytes']:,} bytes"
    ]
    for stage, hours in content["hours"].items():
        unit = "GPU-hours" if stage == "clip" and content["clip_on"] == "gpu" else "core-hours"
        rate = content["rates"].get(stage)
        cost = (
            f"{hours:,.4g} {unit} at {rate:,.0f} rows/s" if hours is not None else f"no rate: give --rate {stage}=..."
        )
        lines.append(f"{stage:<7} {cost}")
    return lines
