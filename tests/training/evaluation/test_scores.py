"""The records of an evaluation's results, written and read back."""

import json
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.training.evaluation.scores import (
    EvaluationManifest,
    EvaluationResult,
    GroupScore,
    SetScore,
    read_result,
    result_json,
)

SCORE = SetScore("box", 4, 1, 75.0, 12.5, {"unparsable": 2}, {"made en": GroupScore(4, 75.0)})
RESULT = EvaluationResult(
    EvaluationManifest(1, "m", "float32", [8, 2, 100], 4, "s", {"limit": 3}, "f"), "p", {"a": SCORE}
)


def test_result_when_read_back_is_equal_and_counts_stand_before_groups(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(result_json(RESULT)))
    assert read_result(path) == RESULT
    content = json.loads(path.read_text())
    assert list(content["sets"]["a"]) == [
        "metric", "samples", "faults", "score", "standard_error", "unparsable", "groups"
    ]  # fmt: skip
    assert SCORE.numbers == {"samples": 4, "faults": 1, "score": 75.0, "standard_error": 12.5, "unparsable": 2}


def test_read_result_when_the_file_is_missing_or_damaged_names_it(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    with pytest.raises(DataError, match=r"scores\.json does not exist"):
        read_result(path)
    for content in ("{", "[]", json.dumps({**result_json(RESULT), "more": 1}), json.dumps({"sets": {}})):
        path.write_text(content)
        with pytest.raises(DataError, match=r"scores\.json: these are not the scores"):
            read_result(path)
