"""The model and the tokenizer that a run starts from, as far as a plan needs them; no weights are loaded."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from qvl.model.network.config import QwenVLConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.presets import PRESETS, preset
from qvl.pipeline.base.errors import RecipeError
from qvl.training.recipe import TrainRecipe


def start_exists(recipe: TrainRecipe) -> bool:
    return recipe.start in PRESETS or (Path(recipe.start) / "config.json").is_file()


def start_config(recipe: TrainRecipe) -> QwenVLConfig:
    """The configuration of the model that the run starts from; the full model's where that is still to be made."""
    from qvl.model.weights.folder import read_config

    if recipe.start in PRESETS or not start_exists(recipe):
        return preset(recipe.start if recipe.start in PRESETS else "qwen-vl")
    try:
        return read_config(Path(recipe.start))
    except ModelError as error:
        raise RecipeError(f"start: {error}") from None


def start_tokenizer(recipe: TrainRecipe) -> PreTrainedTokenizerFast | None:
    """The tokenizer of the recipe or of its start. None where neither has one; lengths are then estimated."""
    from qvl.model.text.tokenizer import build_tokenizer

    if recipe.tokenizer is not None:
        if not recipe.tokenizer.is_file():
            raise RecipeError(f"tokenizer: {recipe.tokenizer} does not exist")
        return build_tokenizer(recipe.tokenizer)
    if recipe.start in PRESETS:
        return None
    from qvl.model.weights.auto import load_processor

    try:
        return load_processor(Path(recipe.start)).tokenizer
    except ModelError:
        return None
