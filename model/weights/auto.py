"""Loading and saving: registration with transformers' Auto classes, and a loader that tolerates no mismatch."""

# mypy: disable-error-code="no-untyped-call"

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedTokenizerFast,
)

from qvl.model.network.config import QwenVLConfig
from qvl.model.network.errors import ModelError
from qvl.model.network.image_processor import QwenVLImageProcessor
from qvl.model.network.presets import PRESETS, preset
from qvl.model.network.processor import QwenVLProcessor
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration, QwenVLModel
from qvl.model.weights.folder import read_config
from qvl.model.weights.foreign import read_json


def register() -> None:
    """Register `qwen_vl` with AutoConfig, AutoModel, AutoModelForImageTextToText and AutoProcessor.

    After this, `save_pretrained` also writes the auto_map and the code. Calling it again has no effect.
    """
    AutoConfig.register(QwenVLConfig.model_type, QwenVLConfig, exist_ok=True)
    AutoModel.register(QwenVLConfig, QwenVLModel, exist_ok=True)
    AutoModelForImageTextToText.register(QwenVLConfig, QwenVLForConditionalGeneration, exist_ok=True)
    with suppress(ImportError):  # some versions hide this class if torchvision is not installed
        AutoImageProcessor.register(QwenVLConfig, QwenVLImageProcessor, exist_ok=True)
    AutoProcessor.register(QwenVLConfig, QwenVLProcessor, exist_ok=True)
    QwenVLConfig.register_for_auto_class()
    QwenVLModel.register_for_auto_class("AutoModel")
    QwenVLForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")
    QwenVLImageProcessor.register_for_auto_class()
    QwenVLProcessor.register_for_auto_class()


def config_of(name: str) -> QwenVLConfig:
    """The configuration of a preset or of a model folder. Raises ModelError for a name that is neither."""
    if name in PRESETS:
        return preset(name)
    if not Path(name).is_dir():
        raise ModelError(f"{name!r} is neither a preset ({', '.join(PRESETS)}) nor a folder")
    return read_config(Path(name))


def load_model(
    folder: Path,
    dtype: torch.dtype | None = None,
    fresh: tuple[str, ...] = (),
    **kwargs: Any,
) -> QwenVLForConditionalGeneration:
    """Load one of our model folders; other keyword arguments (`device_map`, `attn_implementation`) go to `from_pretrained`.

    Tensors whose name begins with one of `fresh` may be missing and are then initialised: ("model.adapter.",) at the
    start of stage 1. Any other missing, unexpected or misshapen tensor raises ModelError; transformers would only warn.
    """
    config = read_config(folder)
    try:
        loaded: Any = QwenVLForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=dtype or "auto",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **kwargs,
        )
    except SafetensorError as error:
        raise ModelError(f"weights in {folder} are truncated or corrupted: {error}") from error
    model, report = loaded
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(fresh or ("?",)))
    problems = {
        "missing": missing,
        "unexpected": sorted(report["unexpected_keys"]),
        "of another shape than config.json says": sorted(str(entry[0]) for entry in report["mismatched_keys"]),
    }
    lines = [f"{len(names)} {problem}: {', '.join(names[:50])}" for problem, names in problems.items() if names]
    if lines:
        raise ModelError("\n".join([f"wrong weights in {folder}", *lines]))
    result: QwenVLForConditionalGeneration = model
    return result


def load_processor(folder: Path) -> QwenVLProcessor:
    """The processor of a model folder, without Auto classes and so without torchvision. Raises ModelError if it has none."""
    if not (folder / "processor_config.json").is_file():
        raise ModelError(
            f"{folder} has no processor_config.json; import it again with a tokenizer file next to the weights"
        )
    values = read_json(folder / "processor_config.json")
    images, template = values["image_processor"], folder / "chat_template.jinja"
    return QwenVLProcessor(
        QwenVLImageProcessor(images["image_size"], images["image_mean"], images["image_std"]),
        PreTrainedTokenizerFast.from_pretrained(folder),
        values["image_seq_length"],
        template.read_text() if template.is_file() else None,
    )
