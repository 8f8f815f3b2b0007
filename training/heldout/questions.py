"""What every model of a journey is asked: held-out samples of all tasks, some of them also in a dialogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
from pydantic import JsonValue

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.training.evaluation.answering.pieces import ModelSettings
from qvl.training.evaluation.run import run as run_evaluation
from qvl.training.evaluation.samples.prompts import chatml
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples, shortened
from qvl.training.evaluation.samples.shards import TASKS
from qvl.training.evaluation.samples.subset import limited
from qvl.training.evaluation.scores import SetScore, read_result
from qvl.training.heldout.documents import pages_of_known_documents
from qvl.training.recipe import Holdout

LIMIT = 24
LONGEST = 384
"""The most tokens of an answer. A page of text may take four times as many: minutes for a small model on a CPU."""
DIALOGUE = "_dialogue"
DIALOGUES = ("caption", "vqa", "referring")
BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """One model's score of each set, and its answer to each sample with that answer's own score, in order."""

    sets: Mapping[str, SetScore]
    answers: list[Answer]
    scores: list[float]


def questions(
    paths: Mapping[str, str], holdout: Holdout, limit: int = LIMIT
) -> tuple[list[EvalSample], dict[str, JsonValue]]:
    """The samples and a description of them. Training sees none of their images and documents. Raises DataError."""
    selection = EvalSelection(
        tuple(paths.values()), TASKS, split="heldout", share=holdout.share, seed=holdout.seed
    )  # fmt: skip
    known = pages_of_known_documents(paths, holdout)
    unseen = [sample for sample in load_samples(selection) if sample.id not in known]
    plain = [
        shortened(sample, min(sample.decoding.max_new, LONGEST)) for sample in limited(unseen, limit, holdout.seed)
    ]
    in_dialogue = [
        replace(each, id=each.id + DIALOGUE, set=each.set + DIALOGUE, prompt=chatml(each.prompt))
        for each in plain
        if each.set in DIALOGUES
    ]
    return [*plain, *in_dialogue], selection.description() | {"limit": limit, "longest": LONGEST}


def evaluate_model(
    model: Path,
    samples: Sequence[EvalSample],
    description: dict[str, JsonValue],
    out: Path,
    device: str,
    fresh: bool = False,
) -> ModelAnswers:
    """The answers and scores of one model. Pieces that are already answered are not asked again."""
    settings = ModelSettings(model.resolve(), device, "auto", BATCH_SIZE)
    with RunProgress() as progress:
        run_evaluation(samples, description, out, settings, SerialPool(), progress, fresh=fresh)
    return read_model_answers(out)


def read_model_answers(out: Path) -> ModelAnswers:
    """The answers and scores that an evaluation left in its folder. Raises DataError."""
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    answers = [Answer(row["prediction"], row["fault"] or "", tuple(row["likelihoods"] or ())) for row in rows]
    return ModelAnswers(read_result(out / "scores.json").sets, answers, [row["score"] for row in rows])
