"""One optimizer step of the tiny model on a CPU, ours against `transformers.Trainer`; and what packing saves.

    python benchmarks/train_step.py [--data out] [--steps 30] [--rounds 5] [--profile]

Step: forward, backward, clipping, AdamW in float32, everything trains, one thread, over the same real batch (eight caption
samples of the demo with their pictures, bytes at 224). Ours is `qvl.training.loop.engine.DeepSpeedEngine` with the model
as a stage uses it. The Trainer gets the same weights and the same batch, normalised in the model too; its time is from
`on_step_begin` to `on_step_end`, without its loader. Processes take turns; the figure is the lower quartile of the steps
in CPU time. `--profile` shows where ours spends its time outside of torch's operators. Aim: Trainer / ours of at least 1.0.

Packing: samples of the demo's datasets at 2048 tokens: the share of positions that hold a sample's token, packed by
`qvl.training.data.schedule` (in steps of a stage, and in windows), and padded to the longest of a batch instead. Aim: 0.95.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import transformers
from torch import Tensor

from qvl.model.network.presets import preset
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import build_tokenizer, match_config
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
from qvl.training.data.loader import Assembler, Batch, StepLoader
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.recipe import OptimizerSpec, StageSpec
from qvl.training.weights.training_model import TrainingModel, prepare

ROOT = Path(__file__).parents[1]
DATASETS = {"pairs": "demo", "ground": "demo_ground", "ocr": "demo_ocr", "text": "demo_text"}
ROWS = 8
WARM = 5
RATE = 1e-4


def stage_of(names: list[str], **changes: Any) -> StageSpec:
    """A stage in which everything trains."""
    content = {
        "stage": "multitask",
        "steps": 1_000,
        "resolution": 224,
        "length": 2048,
        "mix": [{"dataset": name, "weight": 1} for name in names],
        "batch": {"size": ROWS, "micro": ROWS},
        "optimizer": {"peak": RATE, "minimum": 0, "warmup": 0},
        "engine": {"zero": 1, "precision": "float32"},
    }
    return StageSpec.model_validate(content | changes)


def tokenizer_of() -> Any:
    return build_tokenizer(ROOT / "examples" / "tokenizer.json")


def model_and_batch(data: Path) -> tuple[QwenVLForConditionalGeneration, StageSpec, Batch]:
    """The tiny model with seeded weights, and the first batch of the demo's pairs."""
    tokenizer, stage = tokenizer_of(), stage_of(["pairs"])
    config = preset("tiny")
    config.text_config.vocab_size = -(-len(tokenizer) // 64) * 64
    match_config(config, tokenizer)
    torch.manual_seed(0)
    net = QwenVLForConditionalGeneration(config)
    schedule = Schedule(stage, mix_parts(stage, {"pairs": open_dataset(str(data / "demo"))}), seed=0)
    assembler = Assembler(Encoder(tokenizer, Rule(stage.length)), stage.resolution, False, ShardBytes())
    batch = next(iter(StepLoader(schedule, assembler, STREAM_START, 0, 1))).batches[0]
    return net, stage, batch


def ours(data: Path, steps: int, profile: bool) -> dict[str, Any]:
    """Steps through the engine, as a stage makes them."""
    from qvl.training.loop.engine import DeepSpeedEngine
    from qvl.training.process_group import start_training_group, stop_training_group

    net, stage, batch = model_and_batch(data)
    start_training_group()
    engine = DeepSpeedEngine(prepare(net, stage, []), stage.engine, stage.optimizer, 1)
    times, losses = [], []

    def step() -> None:
        loss, _ = engine.forward(batch.ids, batch.labels, batch.positions, batch.pixels)
        losses.append(loss.item() / batch.supervised)
        engine.backward(loss, batch.supervised, True)
        engine.step(RATE)

    for _ in range(WARM + steps):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    table = profiled(step) if profile else None
    stop_training_group()
    return {"step_s": statistics.quantiles(times[WARM:], n=4)[0], "losses": losses[:3], "profile": table}


def profiled(step: Any) -> dict[str, float]:
    """CPU milliseconds of a step: of all, inside torch's operators, of the optimizer, and the rest (Python, engine)."""
    from torch.profiler import ProfilerActivity, profile

    count = 10
    with profile(activities=[ProfilerActivity.CPU]) as found:
        start = time.process_time()
        for _ in range(count):
            step()
        whole = time.process_time() - start
    rows = found.key_averages()
    inside = sum(row.self_cpu_time_total for row in rows if row.key.startswith("aten::")) / 1e6
    return {"step_ms": whole / count * 1e3, "operators_ms": inside / count * 1e3}


class FromBytes(TrainingModel):
    """The same model and batch, with the loss where the Trainer looks for it."""

    def forward(self, input_ids: Tensor, labels: Tensor, pixel_bytes: Tensor) -> Any:  # type: ignore[override]
        pixels = pixel_bytes.permute(0, 3, 1, 2).float() * self.scale.float() + self.shift.float()
        return self.net(input_ids=input_ids, labels=labels, pixel_values=pixels)


class Clock(transformers.TrainerCallback):
    """CPU seconds of every step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.start = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.process_time() - self.start)


class LossTrainer(transformers.Trainer):
    """A Trainer that keeps the loss of every step."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self.losses: list[float] = []

    def compute_loss(self, *positional: Any, **named: Any) -> Any:
        loss = super().compute_loss(*positional, **named)
        self.losses.append((loss[0] if isinstance(loss, tuple) else loss).item())
        return loss


def trainer(data: Path, steps: int) -> dict[str, Any]:
    """The same steps by `transformers.Trainer`."""
    net, stage, batch = model_and_batch(data)
    assert batch.pixels is not None
    names = ("input_ids", "labels", "pixel_bytes")
    rows = [dict(zip(names, row, strict=True)) for row in zip(batch.ids, batch.labels, batch.pixels, strict=True)]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        found = LossTrainer(
            model=FromBytes(net),
            args=trainer_arguments(folder, steps, stage.optimizer),
            train_dataset=rows,
            data_collator=lambda some: {name: torch.stack([row[name] for row in some]) for name in some[0]},
            callbacks=[clock],
        )
        found.train()
    times = clock.times[WARM:]
    return {"step_s": statistics.quantiles(times, n=4)[0], "losses": found.losses[:3], "profile": None}


def trainer_arguments(folder: str, steps: int, spec: OptimizerSpec) -> transformers.TrainingArguments:
    """The optimizer of the stage, and nothing else that takes time."""
    return transformers.TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=ROWS,
        max_steps=WARM + steps,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        adam_beta1=spec.betas[0],
        adam_beta2=spec.betas[1],
        adam_epsilon=spec.eps,
        weight_decay=spec.weight_decay,
        max_grad_norm=spec.clip,
        optim="adamw_torch",
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )


def shares(data: Path) -> dict[str, Any]:
    """Useful-token shares of the demo's datasets, packed and padded."""
    tokenizer, names = tokenizer_of(), [n for n, folder in DATASETS.items() if (data / folder).exists()]
    datasets = {name: open_dataset(str(data / DATASETS[name])) for name in names}
    rule = Rule(2048)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        measured = LengthsFolder(Path(folder), rule_fingerprint(tokenizer, rule))
        for shard in (shard for dataset in datasets.values() for shard in dataset.shards):
            measure_lengths(LengthsTask(shard, measured.path_of(shard), tokenizer, rule))
        modes = {
            "packed, 4096 samples a step (the paper's batch)": {"batch": {"size": 4096}, "packing": "causal"},
            "packed, 256 sequences a step": {"batch": {"size": 256, "unit": "sequences"}, "packing": "causal"},
            "padded to the longest of 8, like lengths together": {"batch": {"size": 4096, "micro": 8}},
        }
        for name, changes in modes.items():
            stage = stage_of(names, **changes)
            schedule = Schedule(stage, mix_parts(stage, datasets), 0, measured)
            found[name] = useful(schedule, stage.length if stage.packing != "none" else None)
        found["padded to the longest of 8, as they come"] = as_they_come(schedule)
        found["padded to 2048"] = useful(schedule, 2048)
    return found


def useful(schedule: Schedule, length: int | None) -> float:
    """Tokens over positions of two steps, rows padded to a length, or to the longest of their micro-batch."""
    tokens = positions = 0
    state = STREAM_START
    for _ in range(2):
        step = schedule.plan(state, 0, 1)
        state = step.after
        for micro in step.micro_batches:
            rows = [sum(ref.tokens for ref in sequence) for sequence in micro.sequences]
            tokens += sum(rows)
            positions += len(rows) * (length or max(rows))
    return round(tokens / positions, 4)


def as_they_come(schedule: Schedule) -> float:
    """The same with samples in their seeded order, as a usual collator meets them."""
    step = schedule.plan(STREAM_START, 0, 1)
    by_key = {ref.key: ref.tokens for micro in step.micro_batches for row in micro.sequences for ref in row}
    lengths = [by_key[key] for key in step.ids]
    groups = [lengths[at : at + ROWS] for at in range(0, len(lengths), ROWS)]
    return round(sum(lengths) / sum(len(group) * max(group) for group in groups), 4)


def measured(who: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run in a process of its own, with one thread."""
    command = [sys.executable, __file__, "--who", who, "--data", str(options.data), "--steps", str(options.steps)]
    command += ["--profile"] if options.profile else []
    out = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    result: dict[str, Any] = json.loads(out.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "out", help="where the demo's outputs lie (`qvl demo`)")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--who", choices=["ours", "trainer"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.who is not None:
        run = (
            ours(options.data, options.steps, options.profile)
            if options.who == "ours"
            else trainer(options.data, options.steps)
        )
        print(json.dumps(run))
        return
    print(json.dumps({"useful token share": shares(options.data)}, indent=1), flush=True)
    ratios = []
    for _ in range(options.rounds):
        mine, theirs = measured("ours", options), measured("trainer", options)
        ratios.append(theirs["step_s"] / mine["step_s"])
        print(json.dumps({"ours": mine, "trainer": theirs, "trainer / ours": round(ratios[-1], 3)}), flush=True)
    print(json.dumps({"median trainer / ours": round(statistics.median(ratios), 3)}))


if __name__ == "__main__":
    main()
