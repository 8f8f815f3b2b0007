"""Pieces of an evaluation: a fixed number of samples, answered by any worker, committed once.

A piece's samples do not depend on the number of workers, and its batches not on what else a worker does: the same model
and samples give the same answers for any number of processes, after any kill.
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

PIECE, LONG_PIECE, LONG = 64, 16, 100  # samples of a piece; fewer where an answer may take more than LONG tokens

ANSWERS = pa.schema(
    [("place", pa.int64()), ("text", pa.string()), ("fault", pa.string()), ("likelihoods", pa.list_(pa.float64()))]
)


@dataclass(frozen=True)
class ModelSettings:
    """How a worker runs the model. None of it names what is evaluated; ``dtype`` is in the run's fingerprint."""

    model: Path
    device: str
    dtype: str
    batch_size: int


@dataclass(frozen=True)
class PieceTask:
    """Samples with their places in the evaluation's order."""

    out: Path
    number: int
    mark: str
    where: ModelSettings
    places: tuple[int, ...]
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
    """Places of the samples of each piece: alike in set and decoding, long answers and prompts first.

    A piece has ``size`` samples, or ``long_size`` where an answer may take more than LONG tokens.
    """

    def key(place: int) -> tuple[Any, ...]:
        sample = samples[place]
        return -sample.decoding.max_new, sample.set, -len(sample.images), -len(sample.prompt), sample.id

    order = sorted(range(len(samples)), key=key)
    pieces: list[tuple[int, ...]] = []
    while order:
        taken = long_size if samples[order[0]].decoding.max_new > LONG else size
        pieces.append(tuple(order[:taken]))
        order = order[taken:]
    return pieces


def committed(task: PieceTask) -> dict[str, Any] | None:
    """The manifest of a piece that is answered already, or None."""
    return read_committed(task.manifest, task.mark, [task.answers])


def answer_piece(task: PieceTask) -> dict[str, Any]:
    """Answer the samples of a piece and commit the answers. Returns the manifest."""
    done = committed(task)
    if done is not None:
        return done
    model, processor = loaded(task.where)
    answers = predict(model, processor, task.samples, task.where.batch_size)
    with attempt(task.out) as folder:
        written = folder / "answers.parquet"
        pq.write_table(_table(task.places, answers), written, compression="zstd")
        digest = file_hash(written)
        publish(written, task.answers, digest)
    faults = sum(bool(answer.fault) for answer in answers)
    content = {"piece": task.name, "fingerprint": task.mark, "samples": len(answers), "faults": faults, "hash": digest}
    return create_manifest(task.manifest, content)


def read_answers(tasks: Sequence[PieceTask], samples: int) -> list[Answer]:
    """All answers in the order of the samples. Raises ContractError where a piece is missing or changed."""
    found: dict[int, Answer] = {}
    for task in tasks:
        manifest = committed(task)
        if manifest is None or file_hash(task.answers) != manifest["hash"]:
            raise ContractError(f"{task.answers}: not what was committed; delete it and run the same command again")
        for row in pq.read_table(task.answers).to_pylist():
            found[row["place"]] = Answer(row["text"], row["fault"], tuple(row["likelihoods"]))
    if sorted(found) != list(range(samples)):
        raise ContractError(f"{samples} samples were to be answered, {len(found)} were")
    return [found[place] for place in range(samples)]


def _table(places: Sequence[int], answers: Sequence[Answer]) -> pa.Table:
    rows = [
        {"place": place, "text": answer.text, "fault": answer.fault, "likelihoods": list(answer.likelihoods)}
        for place, answer in zip(places, answers, strict=True)
    ]
    return pa.Table.from_pylist(rows, ANSWERS)


@lru_cache(maxsize=1)
def loaded(where: ModelSettings) -> tuple[QwenVLForConditionalGeneration, QwenVLProcessor]:
    """The model on its device, once per process."""
    disable_progress_bar()
    dtype = None if where.dtype == "auto" else getattr(torch, where.dtype)
    try:
        model: Any = load_model(where.model, dtype=dtype)
        return model.eval().to(where.device), load_processor(where.model)
    except ModelError as error:
        raise RecipeError(str(error)) from None
