"""The model that a stage starts from: a preset with new weights, a folder, or the previous stage's model."""

from pathlib import Path

import pytest
import torch

from qvl.model.weights.auto import load_model
from qvl.pipeline.base.errors import RecipeError
from qvl.training.recipe import TrainRecipe, load_train_recipe
from qvl.training.weights.start import load_start, processor_of_start
from tests.shared import ROOT
from tests.training.made import stage, write_recipe

TOKENIZER = str(ROOT / "examples" / "tokenizer.json")


def recipe(folder: Path, start: Path, **top: object) -> TrainRecipe:
    return load_train_recipe(
        write_recipe(folder / "recipe.yaml", start, {"mixed": folder, "text": folder}, stage(), **top)
    )


def test_load_start_of_a_folder_has_its_weights_and_the_resolution_of_the_stage(start: Path, tmp_path: Path) -> None:
    loaded = recipe(tmp_path, start)
    found = load_start(loaded, loaded.stages[0], None)
    expected = load_model(start).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.net.state_dict().items())
    assert found.processor.image_processor.image_size == 56 and found.dtype == torch.float32


def test_load_start_of_a_preset_is_the_same_for_a_seed_and_fits_the_tokenizer(start: Path, tmp_path: Path) -> None:
    loaded = recipe(tmp_path, Path("nano"), tokenizer=TOKENIZER, seed=3)
    first, second = (load_start(loaded, loaded.stages[0], None) for _ in range(2))
    tensors = second.net.state_dict()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in first.net.state_dict().items())
    assert first.net.get_input_embeddings().weight.shape[0] >= len(first.processor.tokenizer)
    after = load_start(loaded, loaded.stages[0], start)  # a stage behind another one starts from that one's model
    assert torch.equal(after.net.lm_head.weight, load_model(start).lm_head.weight)


def test_start_that_does_not_exist_raises(tmp_path: Path) -> None:
    loaded = recipe(tmp_path, tmp_path / "nowhere")
    with pytest.raises(RecipeError, match="neither a preset"):
        load_start(loaded, loaded.stages[0], None)
    without = recipe(tmp_path, Path("nano"))
    with pytest.raises(RecipeError, match="needs `tokenizer:`"):
        processor_of_start(without, without.stages[0])
