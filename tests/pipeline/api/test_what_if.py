"""What-if in Python is the command's answer, and what a real run of the changed recipe keeps."""

from pathlib import Path

import pytest

import qvl
from qvl.pipeline.base.errors import RecipeError


def test_what_if_when_a_threshold_changes_counts_what_a_real_run_keeps(curated: Path, tmp_path: Path) -> None:
    run = qvl.open(curated / "out")
    answer = run.what_if({"text_length.minimum": 24})
    recipe = qvl.Recipe.load(curated / "data" / "recipe.yaml")
    stricter = recipe.filters.model_copy(
        update={"text_length": recipe.filters.text_length.model_copy(update={"minimum": 24})}  # type: ignore[union-attr]
    )
    real = qvl.curate(recipe.model_copy(update={"filters": stricter}), tmp_path / "out")
    assert 0 < real.dataset.samples < run.dataset.samples
    assert answer.counts.kept_after == real.dataset.samples
    assert answer.counts.after == real.dataset.verdicts
    by_source = {cell.cell[0]: cell.kept_after for cell in answer.by("source") if cell.kept_after}
    assert by_source == real.dataset.sources
    assert "<table" in answer._repr_html_()
    assert f"{real.dataset.samples:,} after" in repr(answer)


def test_what_if_when_a_name_is_unknown_raises(curated: Path) -> None:
    with pytest.raises(RecipeError, match="no filter"):
        qvl.open(curated / "out").what_if({"sharpness.minimum": 1})
