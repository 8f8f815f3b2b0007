"""The GPU benchmark also runs on a CPU, and its split of the time adds up."""

import json
from pathlib import Path

import pytest

from tests.training.forked import ForkedCommand

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "train_gpu.py"


@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_the_gpu_benchmark_on_a_cpu_measures_every_stage(engine: str, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    arguments = ["--device", "cpu", "--preset", "tiny", "--steps", "2", "--micro", "1", "--accumulate", "2"]
    arguments += ["--workers", "0", "--samples", "24", "--engine", engine, "--json", str(found)]
    done = ForkedCommand(*arguments, script=SCRIPT).finish()
    assert done.returncode == 0, done.stderr[-2000:]
    stages = json.loads(found.read_text())
    assert [stage["stage"] for stage in stages] == ["pretrain", "multitask", "sft"]
    for stage in stages:
        assert 0.9 < sum(stage["split"].values()) <= 1.01
        assert {"vision", "adapter", "language", "head", "optimizer", "data wait"} <= set(stage["split"])
        assert stage["tflops"] > 0 and stage["samples_per_s"] > 0 and 0 < stage["loss"] < 20
    frozen, whole, dialogue = (stage["trained"] for stage in stages)
    assert frozen < dialogue < whole
