"""The model that a stage starts from: that of the previous stage, of a folder, or a preset with new weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from qvl.model.network.presets import PRESETS, preset
from qvl.model.network.processor import QwenVLProcessor
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import build_processor, fit_vocabulary, match_config
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.freeze import PARTS
from qvl.pipeline.base.errors import RecipeError
from qvl.training.recipe import StageSpec, TrainRecipe


@dataclass(frozen=True, slots=True)
class StartModel:
    """A model before its stage, its processor, and the type of the weights in its folder."""

    net: QwenVLForConditionalGeneration
    processor: QwenVLProcessor
    dtype: torch.dtype


def load_start(recipe: TrainRecipe, stage: StageSpec, previous: Path | None) -> StartModel:
    """The model that a stage starts from. ``previous``: the folder of the previous stage's model, None for the first stage.

    Raises RecipeError for a start that does not exist.
    """
    torch.manual_seed(recipe.seed)
    if previous is None and recipe.start in PRESETS:
        config, processor = preset(recipe.start), processor_of_start(recipe, stage)
        config.text_config._attn_implementation = stage.engine.attention
        fit_vocabulary(config, processor.tokenizer)
        match_config(config, processor.tokenizer)
        net = QwenVLForConditionalGeneration(config)
        return StartModel(net, processor, torch.float32)
    folder = previous or Path(recipe.start)
    if not (folder / "config.json").is_file():
        raise RecipeError(f"start: {recipe.start} is neither a preset ({', '.join(PRESETS)}) nor a model folder")
    fresh = tuple(prefix for part in (recipe.fresh if previous is None else ()) for prefix in PARTS[part])
    quantization = _quantization(stage)
    settings = {} if quantization is None else {"quantization_config": quantization}
    net = load_model(folder, fresh=fresh, attn_implementation=stage.engine.attention, **settings)
    processor = load_processor(folder)
    processor.image_processor.image_size = stage.resolution
    return StartModel(net, processor, next(net.parameters()).dtype)


def processor_of_start(recipe: TrainRecipe, stage: StageSpec) -> QwenVLProcessor:
    """The processor that the first stage starts with. Raises RecipeError for a preset without a tokenizer."""
    if recipe.start not in PRESETS:
        return load_processor(Path(recipe.start))
    if recipe.tokenizer is None:
        raise RecipeError(f"start: {recipe.start} needs `tokenizer:`, a qwen.tiktoken or tokenizer.json")
    return build_processor(recipe.tokenizer, stage.resolution, preset(recipe.start).adapter_config.num_queries)


def _quantization(stage: StageSpec) -> Any:
    """The configuration that quantises the base to 4 bits for Q-LoRA (bitsandbytes has no types), None for other stages."""
    if stage.lora is None or not stage.lora.quantize:
        return None
    if not torch.cuda.is_available():
        raise RecipeError("lora.quantize needs a CUDA GPU (bitsandbytes); set it to false here")
    from transformers import BitsAndBytesConfig

    kinds = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16, "load_in_4bit": True}
    skip = ["vision_tower", "adapter", "lm_head"]
    make: Any = BitsAndBytesConfig
    return make(**kinds, llm_int8_skip_modules=skip)
