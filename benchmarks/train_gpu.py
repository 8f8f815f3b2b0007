"""Training steps on one GPU: MFU of the three stages, where the time goes, and what the settings change.

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
import itertools
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from step_marks import Marks
from train_gpu_stage import LENGTHS, ROOT, build, config_of, make_loader, stage_of, write_shards

NEEDED = (
    "torch", "transformers", "PIL", "yaml", "fsspec", "pydantic", "orjson", "xxhash", "pyarrow", "simplejpeg", "peft",
)  # fmt: skip
SETTINGS = ("attention", "recompute", "compile", "micro", "accumulate")
WARM = 3


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


@dataclass
class Sums:
    """Sums over the measured steps. ``useful`` and ``hardware`` are operations; ``wall`` and ``split`` are seconds."""

    samples: int = 0
    tokens: int = 0
    positions: int = 0
    useful: float = 0.0
    hardware: float = 0.0
    wall: float = 0.0
    loss: float = 0.0
    split: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, loaded: Any, seconds: dict[str, float], wall: float, counted: tuple[float, float]) -> None:
        """Add a step that took ``wall`` seconds after its data had come, divided into ``seconds``."""
        self.wall += wall + loaded.wait
        for part, value in [*seconds.items(), ("data wait", loaded.wait)]:
            self.split[part] += value
        self.useful, self.hardware = self.useful + counted[0], self.hardware + counted[1]
        self.samples += loaded.step.samples
        self.tokens += sum(batch.tokens for batch in loaded.batches)
        self.positions += sum(batch.ids.numel() for batch in loaded.batches)

    def figures(self, steps: int, peak: float | None) -> dict[str, Any]:
        """The figures of a stage. ``peak``: operations per second of the device, None where it is unknown."""
        return {
            "step_s": self.wall / steps,
            "samples_per_s": self.samples / self.wall,
            "tokens_per_s": self.tokens / self.wall,
            "padding": 1 - self.tokens / self.positions,
            "tflops": self.useful / self.wall / 1e12,
            "mfu": self.useful / self.wall / peak if peak else None,
            "hardware_share": self.hardware / self.wall / peak if peak else None,
            "split": {part: value / self.wall for part, value in sorted(self.split.items())},
        }


def measure(name: str, shards: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one stage, over the steps that follow the first few."""
    import torch

    from qvl.training.plan.cost import shape_of, trained_parameters
    from qvl.training.plan.machine import GPUS

    stage, cuda = stage_of(name, options), options.device == "cuda"
    loader, tokenizer = make_loader(stage, shards, folder, options.workers)
    config = config_of(stage, tokenizer, options)
    sums = run_steps(stage, config, loader, options)
    named = torch.cuda.get_device_name() if cuda else "cpu"
    kinds = sorted((kind for kind in GPUS.values() if kind.name in named.lower()), key=lambda kind: len(kind.name))
    shape = shape_of(config)
    return {
        "stage": name,
        "device": named,
        "parameters": shape.parameters,
        "trained": trained_parameters(shape, stage),
        "layers": config.text_config.num_hidden_layers,
        "engine": options.engine,
        "settings": {setting: getattr(options, setting) for setting in SETTINGS},
        **sums.figures(options.steps, kinds[-1].bfloat16 if kinds else None),
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9 if cuda else None,
        "loss": sums.loss,
    }


def run_steps(stage: Any, config: Any, loader: Any, options: argparse.Namespace) -> Sums:
    """Train ``WARM`` steps that do not count, then those that do."""
    marks, sums = Marks(options.device == "cuda"), Sums()
    engine = build(stage, config, marks, options)
    for number, loaded in enumerate(itertools.islice(loader, WARM + options.steps)):
        start = time.perf_counter()
        sums.loss = one_step(loaded, engine, marks)
        seconds = marks.seconds()
        if number >= WARM:
            sums.add(loaded, seconds, time.perf_counter() - start, operations(stage, config, loaded.batches))
    return sums


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
    sys.path.insert(0, str(ROOT))
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
