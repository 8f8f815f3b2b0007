"""Pieces of an evaluation: a fixed number of samples that any worker answers, and that are committed once.

The samples of a piece do not depend on the number of workers, and its batches do not depend on what else a worker does. The
same model and samples therefore give the same answers with any number of processes, and after any kill.
"""

# mypy: disable-error-code="no-untyped-call"

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers.utils.logging import disable_progress_bar

from qvl.model.network.errors import ModelError
from qvl.model.network.processor import QwenVLProcessor
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, load_processor
from qvl.pipeline.base.errors import ContractError, RecipeError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.training.evaluation.answering.predict import predict
from qvl.training.evaluation.samples.sample import Answer, EvalSample

PIECE = 64
"""Samples of a piece."""
LONG_PIECE = 16
"""Samples of a piece whose answers may take more than LONG tokens."""
LONG = 100

ANSWERS = pa.schema(
    [("place", pa.int64()), ("text", pa.string()), ("fault", pa.string()), ("likelihoods", pa.list_(pa.float64()))]
)  # place: index of the sample in the evaluation


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a worker runs the model. Only ``dtype`` alters answers, and it is in the fingerprint of the evaluation."""

    model: Path
    device: str
    dtype: str
    batch_size: int


@dataclass(frozen=True, slots=True)
class PieceManifest:
    """The receipt of an answered piece. ``faults``: samples that could not be asked; ``hash``: of the answers' file."""

    piece: str
    fingerprint: str
    samples: int
    faults: int
    hash: str


@dataclass(frozen=True, slots=True)
class PieceTask:
    """Samples with their indexes in the evaluation."""

    out: Path
    number: int
    fingerprint: str
    settings: ModelSettings
    indexes: tuple[int, ...]
    samples: tuple[EvalSample, ...]

    @property
    def name(self) -> str:
        return f"piece-{self.number:06d}"

    @property
    def answers(self) -> Path:
        return self.out / "pieces" / f"{self.name}.parquet"

    @property
    def manifest(self) -> Path:
        return self.out / "manifests" / "eval" / f"{self.name}.json"


def plan(samples: Sequence[EvalSample], size: int = PIECE, long_size: int = LONG_PIECE) -> list[tuple[int, ...]]:
    """The indexes of the samples of each piece, alike in set and decoding, with long answers and long prompts first.

    A piece has ``size`` samples, or ``long_size`` if an answer may take more than LONG tokens.
    """

    def key(index: int) -> tuple[Any, ...]:
        sample = samples[index]
        return -sample.decoding.max_new, sample.set, -len(sample.images), -len(sample.prompt), sample.id

    order = sorted(range(len(samples)), key=key)
    pieces: list[tuple[int, ...]] = []
    while order:
        count = long_size if samples[order[0]].decoding.max_new > LONG else size
        pieces.append(tuple(order[:count]))
        order = order[count:]
    return pieces


def committed(task: PieceTask) -> PieceManifest | None:
    """The manifest of a piece that is already answered, or None."""
    return read_committed(task.manifest, task.fingerprint, [task.answers], PieceManifest)


def answer_piece(task: PieceTask) -> PieceManifest:
    """Answer the samples of a piece and commit the answers, unless that is already done."""
    done = committed(task)
    if done is not None:
        return done
    model, processor = loaded(task.settings)
    answers = predict(model, processor, task.samples, task.settings.batch_size)
    with attempt(task.out) as folder:
        written = folder / "answers.parquet"
        pq.write_table(_table(task.indexes, answers), written, compression="zstd")
        digest = file_hash(written)
        publish(written, task.answers, digest)
    faults = sum(bool(answer.fault) for answer in answers)
    return create_manifest(task.manifest, PieceManifest(task.name, task.fingerprint, len(answers), faults, digest))


def read_answers(tasks: Sequence[PieceTask], samples: int) -> list[Answer]:
    """All answers in the order of the samples. Raises ContractError if a piece is missing or its answers were changed."""
    by_index: dict[int, Answer] = {}
    for task in tasks:
        manifest = committed(task)
        if manifest is None or file_hash(task.answers) != manifest.hash:
            raise ContractError(
                f"{task.answers}: differs from what was committed; delete it and run the same command again"
            )
        for row in pq.read_table(task.answers).to_pylist():
            by_index[row["place"]] = Answer(row["text"], row["fault"], tuple(row["likelihoods"]))
    if sorted(by_index) != list(range(samples)):
        raise ContractError(f"there are {samples} samples but {len(by_index)} answers")
    return [by_index[index] for index in range(samples)]


def _table(indexes: Sequence[int], answers: Sequence[Answer]) -> pa.Table:
    rows = [
        {"place": index, "text": answer.text, "fault": answer.fault, "likelihoods": list(answer.likelihoods)}
        for index, answer in zip(indexes, answers, strict=True)
    ]
    return pa.Table.from_pylist(rows, ANSWERS)


@lru_cache(maxsize=1)
def loaded(settings: ModelSettings) -> tuple[QwenVLForConditionalGeneration, QwenVLProcessor]:
    """The model on its device, loaded once per process. Raises RecipeError for a folder that is not a model."""
    disable_progress_bar()
    dtype = None if settings.dtype == "auto" else getattr(torch, settings.dtype)
    try:
        model: Any = load_model(settings.model, dtype=dtype)
        return model.eval().to(settings.device), load_processor(settings.model)
    except ModelError as error:
        raise RecipeError(str(error)) from None
