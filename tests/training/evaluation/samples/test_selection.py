"""The samples that an evaluation selects: its tasks must fit the files."""

import json
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples


def test_load_samples_when_the_task_does_not_fit_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({"image": "a.jpg", "sent": "x", "bbox": [1, 2, 3, 4], "height": 9, "width": 9}))
    assert load_samples(EvalSelection((str(path),), ("grounding",)))[0].images[0].path == str(tmp_path / "a.jpg")
    with pytest.raises(RecipeError, match="--task"):
        load_samples(EvalSelection((str(path),), ("ocr",)))
    with pytest.raises(RecipeError, match="--split"):
        load_samples(EvalSelection((str(path),), ("grounding",), split="heldout"))
