"""The pixels of a unit's rows, decoded once each in threads, to numbers."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.decode import BAD_PIXELS, SIDE, PixelError, Pixels, Scratch, decode_scaled
from qvl.pipeline.images.perceptual_hash import hash_thumbnails, shrunk, thumbnail, tint
from qvl.pipeline.recipe.score import Clip, Score
from qvl.pipeline.sources.base import Bytes, Source, Unit
from qvl.pipeline.storage.reader import Storage

if TYPE_CHECKING:
    import torch  # type: ignore[import-not-found, unused-ignore]

    from qvl.pipeline.images.clip import ClipScorer

    Inputs = tuple[Pixels, torch.Tensor]  # a model's square and tokens

Vectors = dict[str, list[tuple[list[int], npt.NDArray[np.float16]]]]
BAD = "unreadable:"
CHUNK = 64
SYSTEMATIC_ROWS = 8
MAX_THREADS = 16
NUMBERS = ("phash_spread", "clip_english", "clip_chinese")


@dataclass
class Measures:
    """Score columns of a unit while they fill: values, and which are known."""

    phash: npt.NDArray[np.uint64]
    tint: npt.NDArray[np.uint64]
    hashed: npt.NDArray[np.bool_]
    numbers: dict[str, npt.NDArray[np.float32]]  # NaN where unknown
    vectors: Vectors = field(default_factory=dict)

    @classmethod
    def empty(cls, rows: int) -> Self:
        numbers = {name: np.full(rows, np.nan, np.float32) for name in NUMBERS}
        return cls(np.zeros(rows, np.uint64), np.zeros(rows, np.uint64), np.zeros(rows, bool), numbers)

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Measures from stored columns."""
        result = cls.empty(len(table))
        result.hashed = np.array(table["phash"].is_valid().to_numpy(zero_copy_only=False), bool)
        result.phash = np.array(table["phash"].fill_null(0).to_numpy(), np.uint64)
        result.tint = np.array(table["phash_tint"].fill_null(0).to_numpy(), np.uint64)
        for name in NUMBERS:
            result.numbers[name] = np.array(table[name].to_numpy(zero_copy_only=False), np.float32)
        return result

    def columns(self) -> list[pa.Array]:
        """Columns in the order of the stage's schema, null where unknown."""
        numbers = [pa.array(self.numbers[name], mask=np.isnan(self.numbers[name])) for name in NUMBERS]
        hashes = [pa.array(values, mask=~self.hashed) for values in (self.phash, self.tint)]
        return [*hashes, *numbers]


@dataclass(frozen=True)
class Decoded:
    """What is left of one row's pixels, or the reason why there are none."""

    row: int
    fault: str | None
    small: Image.Image | None = None  # all that the perceptual hash looks at
    inputs: "dict[str, Inputs]" = field(default_factory=dict)  # by model


def measure_pixels(
    source: Source, unit: Unit, columns: pa.Table, rows: Sequence[int], score: Score, into: Measures
) -> dict[int, str]:
    """Fill ``into`` for ``rows``. Returns row -> fault for those that could not be decoded."""
    faults: dict[int, str] = {}
    seen = 0
    if not rows or (score.phash is None and score.clip is None):
        return faults
    places = sorted(_places(columns, rows), key=lambda place: place[1])
    towers = ClipModels.open(score.clip, columns) if score.clip else None
    with towers.open_threads() if towers else ThreadPoolExecutor(1) as threads:
        for chunk in _decoded(source.images(unit, places, Storage()), threads, towers, score.phash is not None):
            seen += len(chunk)
            faults |= {item.row: item.fault for item in chunk if item.fault is not None}
            good = [item for item in chunk if item.fault is None]
            if score.phash is not None and good:
                _hash(good, into)
            if towers is not None and good:
                towers.measure(good, into, threads)
    if seen != len(rows):
        raise DataError(f"{unit.name}: {len(rows) - seen} images are gone since they were scanned")
    _refuse_systematic(faults, len(rows))
    return faults


def _places(columns: pa.Table, rows: Sequence[int]) -> list[tuple[int, int, int]]:
    chosen = columns.select(["row", "locator", "image_bytes"]).take(pa.array(rows))
    return list(zip(*(chosen[name].to_pylist() for name in ("row", "locator", "image_bytes")), strict=True))


def _decoded(
    images: Iterator[tuple[int, Bytes]], threads: ThreadPoolExecutor, towers: "ClipModels | None", hashed: bool
) -> Iterator[list[Decoded]]:
    """Chunks of decoded images; while one is used, the next is being decoded."""
    size = towers.batch if towers else CHUNK
    own = threading.local()  # each thread decodes into memory of its own

    def one(row: int, data: Bytes) -> Decoded:
        if not hasattr(own, "scratch"):
            own.scratch = Scratch()
        return _decode(row, data, towers, hashed, own.scratch)

    def begin() -> list[Any]:
        return [threads.submit(one, row, data) for row, data in islice(images, size)]

    waiting = begin()
    while waiting:
        following = begin()
        yield [future.result() for future in waiting]
        waiting = following


def _decode(row: int, data: Bytes, towers: "ClipModels | None", hashed: bool, scratch: Scratch) -> Decoded:
    try:
        image, whole = decode_scaled(data, towers.side if towers else SIDE, scratch)
        small = shrunk(Image.fromarray(image)) if hashed else None
        return Decoded(row, None, small, towers.prepare(row, image, whole) if towers else {})
    except PixelError:
        return Decoded(row, BAD_PIXELS)
    except Exception as error:  # noqa: BLE001 - a file that crashes a decoder costs its own row, as in scan
        return Decoded(row, f"{BAD}error:{type(error).__name__}")


@dataclass(frozen=True)
class ClipModels:
    """The CLIP models of a recipe, and which of them scores which row."""

    models: dict[str, "ClipScorer"]
    captions: list[str]
    chinese: list[bool]
    batch: int

    @classmethod
    def open(cls, clip: Clip, columns: pa.Table) -> Self:
        """Loads the models, once per process."""
        from qvl.pipeline.images.clip import scorer

        models = {name: scorer(spec, clip.compile)[0] for name, spec in clip.models().items()}
        chinese = [clip.chinese is not None and word == "zh" for word in columns["language"].to_pylist()]
        return cls(models, columns["caption"].to_pylist(), chinese, clip.batch)

    @property
    def side(self) -> int:
        """Pixels that the shorter side needs; never less than without CLIP, so that the hashes agree."""
        return max(SIDE, *(model.side for model in self.models.values()))

    def open_threads(self) -> ThreadPoolExecutor:
        """Threads that decode, and that compute where the models are on the CPU: then as many as torch may use."""
        import torch

        from qvl.pipeline.images.clip import single_threaded

        busy = any(model.parallel for model in self.models.values())
        number = torch.get_num_threads() if busy else min(MAX_THREADS, len(os.sched_getaffinity(0)))
        return ThreadPoolExecutor(number, initializer=single_threaded)

    def model_of(self, row: int) -> str:
        """The model of the row's language."""
        return "clip_chinese" if self.chinese[row] else "clip_english"

    def prepare(self, row: int, image: Pixels, whole: tuple[int, int]) -> "dict[str, Inputs]":
        name = self.model_of(row)
        model = self.models[name]
        return {name: (model.prepare(image, whole), model.tokens(self.captions[row] or ""))}

    def measure(self, good: list[Decoded], into: "Measures", threads: ThreadPoolExecutor) -> None:
        """Scores of a batch, by each model those of its language."""
        for name, model in self.models.items():
            mine = [item for item in good if name in item.inputs]
            if mine:
                rows = [item.row for item in mine]
                squares, tokens = zip(*(item.inputs[name] for item in mine), strict=True)
                scores, vectors = model.scores(squares, tokens, threads.map if model.parallel else map)
                into.numbers[name][rows] = scores
                into.vectors.setdefault(name, []).append((rows, vectors.half().cpu().numpy()))


def _hash(good: list[Decoded], into: Measures) -> None:
    rows = [item.row for item in good]
    images = [item.small for item in good if item.small is not None]
    hashes, spread = hash_thumbnails(np.stack([thumbnail(image) for image in images]))
    into.phash[rows], into.hashed[rows], into.numbers["phash_spread"][rows] = hashes, True, spread
    into.tint[rows] = np.array([tint(image) for image in images], np.uint64)


def _refuse_systematic(faults: dict[int, str], tried: int) -> None:
    """Raise where every image met the same unforeseen error: that is not the images' fault."""
    errors = {word for word in faults.values() if word.startswith(f"{BAD}error:")}
    if tried >= SYSTEMATIC_ROWS and len(faults) == tried and len(errors) == 1 and set(faults.values()) == errors:
        raise RuntimeError(f"all {tried} images of a unit end in {errors.pop()}")
