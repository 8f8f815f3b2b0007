"""Recipes of OCR datasets."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.build.builder import OcrBuilder
from qvl.synth_ocr.build.recipe import load_recipe
from tests.synth_ocr.build.documents import recipe


def test_recipe_when_it_matches_nothing_or_is_misspelt_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nothing matches"):
        OcrBuilder(recipe(tmp_path / "none")).units()
    path = tmp_path / "r.yaml"
    path.write_text("name: x\nsources: [{name: a, read: {kind: pdf, paths: [x], lung_side: 3}}]\n")
    with pytest.raises(RecipeError, match="lung_side"):
        load_recipe(path)
