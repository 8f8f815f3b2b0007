"""What an evaluation found, as records, with the one writer and the one reader of their JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import JsonValue

from qvl.pipeline.base.errors import DataError

SET_KEYS = ("metric", "samples", "faults", "score", "standard_error", "groups")
RESULT_KEYS = ("predictions", "sets")


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The score of one group of a set."""

    samples: int
    score: float


@dataclass(frozen=True, slots=True)
class SetScore:
    """The score of a set. ``faults``: samples that could not be asked.

    ``score``: 100 times the mean over samples, higher is better; ``standard_error`` is that of ``score``. ``counts``: what
    the metric also measures; in JSON they come between the standard error and the groups. ``groups``: by source and
    language.
    """

    metric: str
    samples: int
    faults: int
    score: float
    standard_error: float
    counts: Mapping[str, float]
    groups: Mapping[str, GroupScore]

    @property
    def numbers(self) -> dict[str, float]:
        """Everything that is a number, for a log."""
        own = {
            "samples": self.samples,
            "faults": self.faults,
            "score": self.score,
            "standard_error": self.standard_error,
        }
        return {**own, **self.counts}


@dataclass(frozen=True, slots=True)
class EvalScores:
    """``per_sample``: 0 to 1 (CIDEr 0 to 10), by which the worst samples are found. ``sets``: by name of the set."""

    per_sample: list[float]
    sets: dict[str, SetScore]


@dataclass(frozen=True, slots=True)
class EvaluationManifest:
    """``evaluation.json``: what an output folder evaluates. ``asked`` describes the samples for people.

    ``pieces``: samples per piece, samples per piece of long answers, and from how many tokens an answer counts as long.
    ``fingerprint`` covers everything but ``asked``.
    """

    version: int
    model: str
    dtype: str
    pieces: list[int]
    samples: int
    samples_hash: str
    asked: dict[str, JsonValue]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """``scores.json``: the manifest, the hash of ``predictions.parquet``, and the score of each set."""

    manifest: EvaluationManifest
    predictions: str
    sets: Mapping[str, SetScore]


def set_json(score: SetScore) -> dict[str, JsonValue]:
    """The JSON of one set's score."""
    content = {key: value for key, value in asdict(score).items() if key != "counts"}
    groups = content.pop("groups")
    return {**content, **score.counts, "groups": groups}


def result_json(result: EvaluationResult) -> dict[str, JsonValue]:
    """The content of ``scores.json`` and of ``qvl eval run --json``."""
    sets: dict[str, JsonValue] = {name: set_json(score) for name, score in result.sets.items()}
    return {**asdict(result.manifest), "predictions": result.predictions, "sets": sets}


def read_result(path: Path) -> EvaluationResult:
    """Read ``scores.json``. Raises DataError where it is not there, damaged, or lacks a key."""
    try:
        content = orjson.loads(path.read_bytes())
        manifest = {key: value for key, value in content.items() if key not in RESULT_KEYS}
        sets = {name: _set_score(values) for name, values in content["sets"].items()}
        return EvaluationResult(EvaluationManifest(**manifest), content["predictions"], sets)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; `qvl eval run` writes it at the end") from None
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: these are not the scores of an evaluation ({type(error).__name__}: {error})"
        ) from None


def _set_score(content: Mapping[str, Any]) -> SetScore:
    counts = {key: value for key, value in content.items() if key not in SET_KEYS}
    groups = {name: GroupScore(**values) for name, values in content["groups"].items()}
    return SetScore(**{key: content[key] for key in SET_KEYS if key != "groups"}, counts=counts, groups=groups)
