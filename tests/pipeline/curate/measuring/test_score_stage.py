"""Stage score in the driver: what identifies weights, and the faults that only decoding finds."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.curate.measuring.manifests import ComputedManifest, ScoreManifest
from qvl.pipeline.curate.measuring.score import ScoredUnit
from qvl.pipeline.curate.measuring.score_stage import (
    score_identity,
    scores_are_outdated,
    weights_identity,
    with_pixel_faults,
)
from qvl.pipeline.recipe.score import ClipModel
from tests.pipeline.curate.scanned import scan_manifest


def test_weights_identity_of_names_is_the_names() -> None:
    assert weights_identity(ClipModel(model="ViT-B-32", pretrained="openai")) == "ViT-B-32 openai"


def test_weights_identity_of_a_file_is_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    assert weights_identity(ClipModel(model="ViT-B-32", pretrained=str(path))) == f"ViT-B-32 {file_hash(path)}"


def test_weights_identity_when_the_file_is_missing_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        weights_identity(ClipModel(model="ViT-B-32", pretrained=str(tmp_path / "weights.pt")))


def test_with_pixel_faults_adds_rows_that_could_not_be_decoded() -> None:
    scanned = [scan_manifest("u", "web", 9, {"unreadable:truncated": 1})]
    states = {"scored": 5, "not_scored:unreadable": 1, "unreadable:bad_pixels": 3}
    of_scorer = {"unreadable:bad_pixels": 3, "unreadable:plugin:size:KeyError": 2}
    scorer = ComputedManifest("u", "web", "size", 9, of_scorer, "h", {}, "f")
    scored = [ScoredUnit(ScoreManifest("u", "web", "u.tar", 9, states, "h", {}, "f"), (scorer,))]
    (found,) = with_pixel_faults(scanned, scored)
    assert found.faults == {"unreadable:truncated": 1, **of_scorer}
    assert with_pixel_faults(scanned, []) == scanned


def test_without_tasks_nothing_is_outdated_and_there_is_no_identity() -> None:
    assert not scores_are_outdated([], fresh=False)
    assert score_identity([]) is None
