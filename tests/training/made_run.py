"""A run's folder with logs as a run writes them, computed from a formula: for tests of the report."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from qvl.training.loop.records import QuarantineLine, ScoreLine, SpikeLine, StepLine
from tests.training.made import stage

SOURCES = {
    "pretrain": ("laion_en", "coyo", "laion_zh"),
    "multitask": ("caption", "vqa", "ocr", "referring", "text"),
    "sft": ("chat",),
}
FLOOR = {"text": 1.4, "digits": 0.9, "markers": 0.05, "ocr": 0.6}


def step_line(name: str, step: int, steps: int, noise: random.Random) -> StepLine:
    """A log line whose loss falls and whose rates vary."""
    fall = math.exp(-6 * step / steps)
    loss = 1.2 + 6 * fall + noise.gauss(0, 0.08 + 0.2 * fall)
    positions = 4096 * 8
    tokens = int(positions * noise.uniform(0.94, 0.99))
    seconds = noise.uniform(1.9, 2.2) + (2.0 if step % 97 == 0 else 0.0)
    sources, learnt = SOURCES[name], tokens // 4
    by_source = {
        each: ((loss + 0.3 * at) * learnt / len(sources), learnt / len(sources)) for at, each in enumerate(sources)
    }
    by_class = {kind: ((floor + 5 * fall + noise.gauss(0, 0.1)) * 100, 100.0) for kind, floor in FLOOR.items()}
    learning_rate = 2e-4 * min(1, (step + 1) / (0.05 * steps)) * (0.6 + 0.4 * math.cos(3 * step / steps))
    return StepLine(
        step=step, stage=name, loss=loss, lr=learning_rate, grad_norm=0.8 + 3 * fall + abs(noise.gauss(0, 0.1)),
        skipped=False, samples=256, positions=positions, tokens=tokens, learnt=learnt, images=250, seconds=seconds,
        data_wait=seconds * noise.uniform(0, 0.03), mfu=0.85 / seconds, memory_gb=61.5, world=8, attempt="a", receipt="r",
        loss_by_source=by_source, loss_by_class=by_class,
    )  # fmt: skip


LINE = StepLine(
    step=0, stage="sft", loss=2.0, lr=1e-4, grad_norm=1.0, skipped=False, samples=10, positions=100, tokens=80, learnt=20,
    images=3, seconds=2.0, data_wait=0.5, mfu=None, memory_gb=None, world=1, attempt="a", receipt="r",
    loss_by_source={"a": (40.0, 20), "b": (0.0, 0)}, loss_by_class={"text": (40.0, 20), "ocr": (0.0, 0)},
)  # fmt: skip


def line(step: int, **changes: Any) -> StepLine:
    """A log line with round numbers, with the given fields replaced."""
    return replace(LINE, step=step, **changes)


def write_lines(path: Path, lines: Sequence[StepLine | SpikeLine | QuarantineLine | ScoreLine]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def write_run(run: Path, lengths: dict[str, int], seed: int = 0) -> Path:
    """A run with stages of those lengths, resumed after two thirds with fewer processes; a spike and damaged samples."""
    noise = random.Random(seed)
    stages = [stage(stage=name, steps=steps) for name, steps in lengths.items()]
    datasets = {"mixed": {"path": "/somewhere/private/mixed"}, "text": {"path": "s3://bucket/text"}}
    recipe = {
        "name": "made <run>",
        "start": "/somewhere/private/model",
        "tokenizer": None,
        "datasets": datasets,
        "stages": stages,
    }
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_bytes(orjson.dumps({"recipe": recipe, "fingerprint": "f"}))
    for name, steps in lengths.items():
        lines = [step_line(name, step, steps, noise) for step in range(steps)]
        resumed = 2 * steps // 3
        lines[resumed:] = [replace(line, world=4, seconds=2 * line.seconds) for line in lines[resumed:]]
        lines[steps // 2] = replace(lines[steps // 2], loss=None, skipped=True, grad_norm=None)
        write_lines(run / name / "log.jsonl", lines)
        ids = [f"coyo-{number:06d}" for number in range(40)]
        write_lines(run / name / "spikes.jsonl", [SpikeLine(steps // 2, None, 2.31, ids)])
        damaged = [
            QuarantineLine(3 * number, f"row <b>{number}</b>", f"laion-{number:06d}.tar", reason)
            for number, reason in enumerate(["PixelError: truncated", "too_long", "PixelError: no image"])
        ]
        write_lines(run / name / "quarantine.jsonl", damaged)
        every = max(1, steps // 8)
        scores = [
            ScoreLine(step, task, {metric: top * (1 - math.exp(-4 * step / steps)), "samples": 64})
            for step in range(every, steps, every)
            for task, metric, top in (
                ("caption", "cider", 78.0),
                ("vqa", "vqa_score", 61.0),
                ("grounding", "box", 83.0),
            )
        ]
        write_lines(run / name / "eval.jsonl", scores)
    return run
