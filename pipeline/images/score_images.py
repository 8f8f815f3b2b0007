"""Scores of a unit's images: each image is decoded once, in threads, for the perceptual hash, for CLIP and for scorers."""

import os
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from qvl.pipeline.base.pool import available_threads
from qvl.pipeline.images.decode import BAD_PIXELS, SIDE, DecodedScales, PixelError, Pixels, Scratch, read_only
from qvl.pipeline.images.perceptual_hash import hash_thumbnails, shrunk, thumbnail, tint
from qvl.pipeline.images.picture_scorer import PictureScorer
from qvl.pipeline.recipe.score import Clip, Score
from qvl.pipeline.sources.base import (
    REFERENCE_COLUMNS,
    Bytes,
    ImageReference,
    Source,
    Unit,
    images_as_scanned,
    images_missing,
)
from qvl.pipeline.storage.reader import Storage

if TYPE_CHECKING:
    import torch  # type: ignore[import-not-found, unused-ignore]

    from qvl.pipeline.images.clip import ClipScorer

    Inputs = tuple[Pixels, torch.Tensor]  # a model's image input and token ids

Vectors = dict[str, list[tuple[list[int], npt.NDArray[np.float16]]]]  # by model: rows and their image vectors
BAD = "unreadable:"
CHUNK = 64
SYSTEMATIC_ROWS = 8
MAX_THREADS = 16
NUMBERS = ("phash_spread", "clip_english", "clip_chinese")


@dataclass
class Measures:
    """The score columns of a unit while they are filled. ``hashed`` says which hashes and tints are known."""

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
        """The columns in the order of the stage's schema, null where unknown."""
        numbers = [pa.array(self.numbers[name], mask=np.isnan(self.numbers[name])) for name in NUMBERS]
        hashes = [pa.array(values, mask=~self.hashed) for values in (self.phash, self.tint)]
        return [*hashes, *numbers]


@dataclass(frozen=True)
class Decoded:
    """The model inputs from one row's image, or the reason why it could not be decoded (``fault``).

    ``prepared`` is what scorers keep of it, by their names. ``measured``: whether hash and CLIP are wanted.
    """

    row: int
    fault: str | None
    small: Image.Image | None = None  # the input of the perceptual hash
    inputs: "dict[str, Inputs]" = field(default_factory=dict)  # by model
    prepared: dict[str, Any] = field(default_factory=dict)  # by scorer
    measured: bool = True


def measure_pixels(
    source: Source,
    unit: Unit,
    columns: pa.Table,
    rows: Sequence[int],
    score: Score,
    measures: Measures,
    scorers: Sequence[PictureScorer] = (),
) -> dict[int, str]:
    """Fill ``measures`` for these rows, and let ``scorers`` score theirs. Returns row -> fault where decoding failed.

    Raises DataError if an image no longer exists or changed since its scan, and RuntimeError if every image fails with
    the same unexpected error.
    """
    faults: dict[int, str] = {}
    decoded = 0
    measured = frozenset(rows if score.phash is not None or score.clip is not None else ())
    wanted_rows = sorted(measured.union(*(scorer.rows for scorer in scorers)))
    if not wanted_rows:
        return faults
    chosen = columns.select([*REFERENCE_COLUMNS, "image_hash"]).take(pa.array(wanted_rows))
    hashes = dict(zip(chosen["row"].to_pylist(), chosen["image_hash"].to_pylist(), strict=True))
    references = sorted(ImageReference.from_columns(chosen), key=lambda image: image.locator)
    images = images_as_scanned(source, unit, references, hashes, Storage())
    models = ClipModels.open(score.clip, columns) if score.clip and measured else None
    wants = Wanted(models, score.phash is not None, measured, tuple(scorers))
    with wants.open_threads() as threads:
        for chunk in _decoded(images, threads, wants):
            decoded += len(chunk)
            faults |= {item.row: item.fault for item in chunk if item.fault is not None}
            good = [item for item in chunk if item.fault is None]
            to_measure = [item for item in good if item.measured]
            if score.phash is not None and to_measure:
                _hash(to_measure, measures)
            if models is not None and to_measure:
                models.measure(to_measure, measures, threads)
            for scorer in scorers:
                for item in good:
                    if scorer.name in item.prepared:
                        scorer.add(item.row, item.prepared.pop(scorer.name))
        for scorer in scorers:
            scorer.finish()
    if decoded != len(wanted_rows):
        raise images_missing(unit.name, len(wanted_rows) - decoded)
    _refuse_systematic(faults, len(wanted_rows))
    return faults


@dataclass(frozen=True)
class Wanted:
    """What is wanted of each image: hash and inputs of CLIP for the rows in ``measured``, and what scorers prepare."""

    models: "ClipModels | None"
    hashed: bool
    measured: AbstractSet[int]
    scorers: tuple[PictureScorer, ...]

    @property
    def chunk(self) -> int:
        """The number of images that are decoded while others are scored."""
        return self.models.batch if self.models else CHUNK

    def open_threads(self) -> ThreadPoolExecutor:
        """Threads that decode: one for hashes alone, because workers run side by side."""
        if self.models:
            return self.models.open_threads()
        return ThreadPoolExecutor(min(MAX_THREADS, available_threads()) if self.scorers else 1)

    def decode(self, row: int, data: Bytes, scratch: Scratch) -> Decoded:
        """Decode an image for all that want it. What a scorer keeps may be a part of the image: no scratch memory then."""
        try:
            scales = DecodedScales(data, None if self.scorers else scratch)
            measured, small, inputs = row in self.measured, None, {}
            if measured:
                image, full_size = scales.at(self.models.side if self.models else SIDE)
                small = shrunk(Image.fromarray(image)) if self.hashed else None
                inputs = self.models.prepare(row, image, full_size) if self.models else {}
            wanted = [scorer for scorer in self.scorers if row in scorer.rows]
            prepared = {scorer.name: scorer.prepare(read_only(scales.at(scorer.side)[0])) for scorer in wanted}
            return Decoded(row, None, small, inputs, prepared, measured)
        except PixelError:
            return Decoded(row, BAD_PIXELS)
        except Exception as error:  # noqa: BLE001 - a file that crashes a decoder fails only its own row, as in scan
            return Decoded(row, f"{BAD}error:{type(error).__name__}")


def _decoded(
    images: Iterator[tuple[int, Bytes]], threads: ThreadPoolExecutor, wanted: Wanted
) -> Iterator[list[Decoded]]:
    """Chunks of decoded images. While the caller uses one chunk, the next one is decoded."""
    local = threading.local()  # each thread decodes into memory of its own

    def decode_one(row: int, data: Bytes) -> Decoded:
        if not hasattr(local, "scratch"):
            local.scratch = Scratch()
        return wanted.decode(row, data, local.scratch)

    def submit_chunk() -> list[Any]:
        return [threads.submit(decode_one, row, data) for row, data in islice(images, wanted.chunk)]

    current = submit_chunk()
    while current:
        following = submit_chunk()
        yield [future.result() for future in current]
        current = following


@dataclass(frozen=True)
class ClipModels:
    """The CLIP models of a recipe by column name, and the rows that each of them scores."""

    models: dict[str, "ClipScorer"]
    captions: list[str]
    chinese: list[bool]
    batch: int

    @classmethod
    def open(cls, clip: Clip, columns: pa.Table) -> Self:
        """Load the models, once per process."""
        from qvl.pipeline.images.clip import scorer

        models = {name: scorer(spec, clip.compile)[0] for name, spec in clip.models().items()}
        chinese = [clip.chinese is not None and language == "zh" for language in columns["language"].to_pylist()]
        return cls(models, columns["caption"].to_pylist(), chinese, clip.batch)

    @property
    def side(self) -> int:
        """Pixels that the shorter side must have: never fewer than without CLIP, so that the hashes are equal."""
        return max(SIDE, *(model.side for model in self.models.values()))

    def open_threads(self) -> ThreadPoolExecutor:
        """Threads that decode. If a model runs on the CPU they also compute, and there are as many as torch may use."""
        import torch

        from qvl.pipeline.images.clip import single_threaded

        on_cpu = any(model.parallel for model in self.models.values())
        number = torch.get_num_threads() if on_cpu else min(MAX_THREADS, len(os.sched_getaffinity(0)))
        return ThreadPoolExecutor(number, initializer=single_threaded)

    def model_of(self, row: int) -> str:
        """The name of the model for the row's language."""
        return "clip_chinese" if self.chinese[row] else "clip_english"

    def prepare(self, row: int, image: Pixels, full_size: tuple[int, int]) -> "dict[str, Inputs]":
        """The inputs of the row's model, by its name. ``full_size`` is the (height, width) of the file."""
        name = self.model_of(row)
        model = self.models[name]
        return {name: (model.prepare(image, full_size), model.tokens(self.captions[row] or ""))}

    def measure(self, decoded: list[Decoded], measures: "Measures", threads: ThreadPoolExecutor) -> None:
        """Score a batch: each model scores the rows of its language."""
        for name, model in self.models.items():
            scored = [item for item in decoded if name in item.inputs]
            if scored:
                rows = [item.row for item in scored]
                squares, tokens = zip(*(item.inputs[name] for item in scored), strict=True)
                scores, vectors = model.scores(squares, tokens, threads.map if model.parallel else map)
                measures.numbers[name][rows] = scores
                measures.vectors.setdefault(name, []).append((rows, vectors.half().cpu().numpy()))


def _hash(decoded: list[Decoded], measures: Measures) -> None:
    rows = [item.row for item in decoded]
    images = [item.small for item in decoded if item.small is not None]
    hashes, spread = hash_thumbnails(np.stack([thumbnail(image) for image in images]))
    measures.phash[rows], measures.hashed[rows], measures.numbers["phash_spread"][rows] = hashes, True, spread
    measures.tint[rows] = np.array([tint(image) for image in images], np.uint64)


def _refuse_systematic(faults: dict[int, str], tried: int) -> None:
    """Raise RuntimeError if every image failed with the same unexpected error: then the images are not the cause."""
    errors = {reason for reason in faults.values() if reason.startswith(f"{BAD}error:")}
    if tried >= SYSTEMATIC_ROWS and len(faults) == tried and len(errors) == 1 and set(faults.values()) == errors:
        raise RuntimeError(f"all {tried} images of a unit failed with {errors.pop()}")
