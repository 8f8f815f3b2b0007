"""How fast stages run: rows per second of one core (of one GPU for ``clip``, where there is one).

Rates are given on the command line, or measured on the first rows of the first unit.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.measuring.measure import measure
from qvl.pipeline.curate.measuring.scan import ScanTask, language_model
from qvl.pipeline.images.decode import PixelError, decode, decode_scaled
from qvl.pipeline.images.perceptual_hash import hash_image
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.score import Clip
from qvl.pipeline.recipe.source import reader
from qvl.pipeline.storage.reader import Storage

STAGES = ("scan", "score", "clip")
SAMPLE_ROWS = 2_048
SAMPLE_IMAGES = 100
BYTES_PER_ROW = 45_000  # of web images, where no row was read yet
SHORTEST = 1e-6  # seconds


@dataclass(frozen=True)
class Rates:
    """Rows per second and core by stage (for ``clip`` per ``clip_on``), and input bytes per row."""

    per_second: dict[str, float]
    bytes_per_row: float = BYTES_PER_ROW
    clip_on: Literal["gpu", "core"] = "gpu"


@dataclass
class ScanSample:
    """Rows that were scanned to measure the rate, and some of their images with their captions."""

    rows: int = 0
    image_bytes: int = 0
    seconds: float = 0.0
    pairs: list[tuple[bytes, str]] = field(default_factory=list)


def parse_rates(texts: Iterable[str]) -> Rates:
    """Rates as written on a command line: ``scan=2900``. Raises RecipeError for anything else."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise RecipeError(f"--rate {text}: write it as STAGE=ROWS_PER_SECOND, for example scan=2900") from None
        if name not in (*STAGES, "bytes_per_row") or not found[name] > 0:
            raise RecipeError(f"--rate {text}: name one of {', '.join(STAGES)}, bytes_per_row, and a number above 0")
    size = found.pop("bytes_per_row", BYTES_PER_ROW)
    return Rates(found, size)


def measure_rates(recipe: Recipe, tasks: list[ScanTask]) -> Rates:
    """The rates of this machine, in processor seconds of one core. Raises RecipeError where there is no input."""
    if not tasks:
        raise RecipeError("there is no input to measure on")
    sample = _scan_sample(recipe, tasks[0])
    rates = {"scan": sample.rows / max(sample.seconds, SHORTEST), "score": _hash_rate(sample.pairs)}
    bytes_per_row = sample.image_bytes / max(sample.rows, 1)
    if recipe.score is None or recipe.score.clip is None:
        return Rates(rates, bytes_per_row)
    clip_rate, clip_on = measure_clip(recipe.score.clip, sample.pairs)
    return Rates({**rates, "clip": clip_rate}, bytes_per_row, clip_on)


def _scan_sample(recipe: Recipe, task: ScanTask) -> ScanSample:
    """Scan the first rows of a unit, and write nothing."""
    model, sample = language_model(task.language_model), ScanSample()
    start = time.process_time()
    for batch in reader(recipe.source(task.unit.source)).read(task.unit, Storage()):
        if sample.rows == 0:  # the first rows also pay for everything that is set up once
            measure(batch[:8], 0, task.clean, model, task.source.caption_names())
            start = time.process_time()
        measure(batch, sample.rows, task.clean, model, task.source.caption_names())
        sample.rows += len(batch)
        sample.seconds = time.process_time() - start
        sample.image_bytes += sum(len(row.image) for row in batch if row.image is not None)
        pairs = ((bytes(row.image), bytes(row.caption).decode("utf-8", "replace")) for row in batch if row.image)
        sample.pairs += islice(pairs, SAMPLE_IMAGES - len(sample.pairs))
        if sample.rows >= SAMPLE_ROWS:
            break
    return sample


def _hash_rate(pairs: list[tuple[bytes, str]]) -> float:
    """Images per second that one core decodes and hashes."""
    start = time.process_time()
    for data, _ in pairs:
        try:
            hash_image(decode(data))
        except PixelError:
            continue
    return len(pairs) / max(time.process_time() - start, SHORTEST)


def measure_clip(clip: Clip, pairs: list[tuple[bytes, str]]) -> tuple[float, Literal["gpu", "core"]]:
    """Pairs per second of the CLIP model: by the wall clock on a GPU, otherwise by processor time of one core."""
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
    return len(inputs) / max(clock() - start, SHORTEST), "gpu" if on_gpu else "core"
