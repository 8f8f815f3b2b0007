"""What every model of a journey is asked: held-out samples of all tasks, some of them in a dialogue, too."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.manifests import read_manifest
from qvl.training.evaluation.answering.pieces import ModelSettings
from qvl.training.evaluation.run import run as run_evaluation
from qvl.training.evaluation.samples.prompts import chatml
from qvl.training.evaluation.samples.sample import Answer, Decoding, EvalSample
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
from qvl.training.evaluation.samples.shards import TASKS
from qvl.training.evaluation.samples.subset import limited
from qvl.training.heldout.documents import pages_of_known_documents
from qvl.training.recipe import Holdout

LIMIT = 24
LONGEST = 384
"""Tokens of an answer at most. A page of text may take four times that: minutes for a small model on a CPU."""
DIALOGUE = "_dialogue"
DIALOGUES = ("caption", "vqa", "referring")


@dataclass(frozen=True)
class ModelAnswers:
    """A model's scores by set, and its answer and the answer's own score for each sample, in their order."""

    sets: dict[str, Any]
    answers: list[Answer]
    values: list[float]


def questions(
    paths: Mapping[str, str], holdout: Holdout, limit: int = LIMIT
) -> tuple[list[EvalSample], dict[str, Any]]:
    """The samples, and in words what they are; no image and no document of them is trained on. Raises DataError."""
    data = tuple(path for path in paths.values())
    asked = EvalSelection(data, TASKS, split="heldout", share=holdout.share, seed=holdout.seed)
    known = pages_of_known_documents(paths, holdout)
    unseen = [sample for sample in load_samples(asked) if sample.id not in known]
    plain = [_shortened(sample) for sample in limited(unseen, limit, holdout.seed)]
    spoken = [
        replace(each, id=each.id + DIALOGUE, set=each.set + DIALOGUE, prompt=chatml(each.prompt))
        for each in plain
        if each.set in DIALOGUES
    ]
    return [*plain, *spoken], asked.words() | {"limit": limit, "longest": LONGEST}


def _shortened(sample: EvalSample) -> EvalSample:
    longest = min(sample.decoding.max_new, LONGEST)
    return replace(sample, decoding=Decoding(longest, min(sample.decoding.min_new, longest)))


def evaluate_model(
    model: Path, samples: Sequence[EvalSample], words: dict[str, Any], out: Path, device: str, fresh: bool = False
) -> ModelAnswers:
    """Answers and scores of one model; what is answered already is not asked again."""
    where = ModelSettings(model.resolve(), device, "auto", 8)
    with RunProgress() as progress:
        run_evaluation(samples, words, out, where, SerialPool(), progress, fresh=fresh)
    return read_answered(out)


def read_answered(out: Path) -> ModelAnswers:
    """What an evaluation left in its folder."""
    scores = read_manifest(out / "scores.json") or {"sets": {}}
    rows: Iterable[dict[str, Any]] = pq.read_table(out / "predictions.parquet").to_pylist()
    rows = list(rows)
    answers = [Answer(row["prediction"], row["fault"] or "", tuple(row["likelihoods"] or ())) for row in rows]
    return ModelAnswers(scores["sets"], answers, [row["score"] for row in rows])
