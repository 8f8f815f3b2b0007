"""The benchmarks of CLIP run from end to end in a small form; their figures are for the machines that they are run on."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.end_to_end.conftest import ROOT
from tests.shared import HANG


def lines(script: str, *arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=HANG, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_gpu_benchmark_runs_on_a_cpu() -> None:
    head, found = lines(
        "clip_gpu.py", "--device", "cpu", "--models", "tiny", "--pairs", "16", "--batch", "8", "--threads", "2"
    )
    assert head["device"] == "cpu"
    assert head["matrix_tflops"] > 0
    assert found["gflop_per_pair"] > 0
    parts = ("whole", "towers", "image_tower", "text_tower", "decode", "tokens", "copy")
    assert all(found[f"{part}_pairs_per_s"] > 0 for part in parts)
    assert found["share_of_towers"] > 0


@pytest.mark.long
def test_the_cpu_benchmark_scores_the_same_pairs_on_both_sides() -> None:
    found = lines("clip_cpu.py", "--rows", "8", "--batch", "4", "--model", "RN50", "--repeats", "1")
    sides = {next(iter(line)): next(iter(line.values())) for line in found if {"plain", "ours"} & set(line)}
    assert {side: values["rows"] for side, values in sides.items()} == {"plain": 8, "ours": 8}
    decode = [line["decode"] for line in found if "decode" in line]
    assert [line["longest"] for line in decode] == [1024, 512]
    assert all(line["ours_ratio"] > 0 for line in decode), decode
    assert found[-1]["ratio"] > 0


def test_decode_and_resize_hardly_move_a_score() -> None:
    """Nothing here depends on the machine's speed."""
    (found,) = lines("clip_drift.py", "--pictures", "20", "--longest", "600", "--margins", "448", "64")
    assert found["pictures"] == 20
    assert found["448"]["p99"] < 0.005 < found["64"]["p99"], found
    assert max(found["448"]["flips"].values()) < 0.01
