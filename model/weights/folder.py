"""The files next to the weights in a model folder: configuration, the code that reads it, tokenizer and processor."""

# mypy: disable-error-code="no-untyped-call"

import json
import shutil
from pathlib import Path

from transformers import GenerationConfig

from qvl.model import network
from qvl.model.network.config import QwenVLConfig
from qvl.model.network.processor import QwenVLProcessor
from qvl.model.text.tokenizer import build_processor, match_config
from qvl.model.weights.foreign import read_json
from qvl.model.weights.shards import replace_text

SHIPPED = (
    "errors",
    "config",
    "positions",
    "vision",
    "adapter",
    "language",
    "loss",
    "qwen_vl",
    "image_processor",
    "processor",
)
"""Files that are copied next to the weights, where `trust_remote_code` finds them. They import only one another."""

NETWORK = Path(network.__file__).parent
AUTO_MAP = {
    "AutoConfig": "config.QwenVLConfig",
    "AutoModel": "qwen_vl.QwenVLModel",
    "AutoModelForImageTextToText": "qwen_vl.QwenVLForConditionalGeneration",
    "AutoProcessor": "processor.QwenVLProcessor",
    "AutoImageProcessor": "image_processor.QwenVLImageProcessor",
}

PROCESSOR_FILES = ("processor_config.json", "chat_template.jinja", "tokenizer.json", "tokenizer_config.json")


def read_config(folder: Path) -> QwenVLConfig:
    """The configuration of one of our model folders."""
    values = read_json(folder / "config.json")
    return QwenVLConfig.from_dict(values)


def write_model_files(folder: Path, config: QwenVLConfig) -> None:
    """Write config.json with its auto_map, generation_config.json, and the code."""
    config.auto_map = dict(AUTO_MAP)
    config.architectures = ["QwenVLForConditionalGeneration"]
    config.save_pretrained(folder)
    text = config.text_config
    stops = text.eos_token_id if isinstance(text.eos_token_id, list) else [text.eos_token_id]
    stops = sorted({stop for stop in (*stops, config.turn_end_token_id) if stop is not None})
    GenerationConfig(eos_token_id=stops, pad_token_id=stops[0] if stops else None).save_pretrained(folder)
    for name in SHIPPED:
        shutil.copyfile(NETWORK / f"{name}.py", folder / f"{name}.py")


def copy_processor(source: Path, out: Path) -> None:
    """Copy the tokenizer and processor files that the source has."""
    for name in PROCESSOR_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def import_tokenizer(source: Path, out: Path, config: QwenVLConfig) -> None:
    """Write a processor made from the source's `qwen.tiktoken` or `tokenizer.json`, if any; its ids go into `config`."""
    folder = source if source.is_dir() else source.parent
    for name in ("qwen.tiktoken", "tokenizer.json"):
        if (folder / name).is_file():
            vision, adapter = config.vision_config, config.adapter_config
            processor = build_processor(folder / name, vision.image_size, adapter.num_queries)
            match_config(config, processor.tokenizer)
            save_processor(processor, out)
            return


def save_processor(processor: QwenVLProcessor, out: Path) -> None:
    """Write tokenizer, chat template and processor_config.json with the auto_map through which transformers finds them."""
    processor.save_pretrained(out)
    values = read_json(out / "processor_config.json")
    values["auto_map"] = {"AutoProcessor": AUTO_MAP["AutoProcessor"]}
    values["image_processor"]["auto_map"] = {"AutoImageProcessor": AUTO_MAP["AutoImageProcessor"]}
    replace_text(out / "processor_config.json", json.dumps(values, indent=2))
