"""Gradient traffic against the reference table."""

import pytest

from qvl.model.network.presets import preset
from qvl.pipeline.base.errors import RecipeError
from qvl.training.plan.cost import shape_of
from qvl.training.plan.machine import GPUS, Work, gpu, traffic_bytes, traffic_seconds

FULL = shape_of(preset("qwen-vl"))
H200 = GPUS["h200"]
TRAINED = {1: FULL.vision + FULL.adapter, 2: FULL.parameters, 3: FULL.parameters - FULL.vision}
SAMPLE = {1: (17.7e12, 30720), 2: (154e12, 4096), 3: (99e12, 128)}


def work(number: int, micro_batches: float | None = None, zero: int = 1) -> Work:
    flops, batch = SAMPLE[number]
    return Work(flops * batch, micro_batches or batch, FULL.parameters, TRAINED[number], zero)


@pytest.mark.parametrize(
    ("number", "gpus", "expected"),
    [
        (1, 64, 0.01),
        (1, 256, 0.04),
        (1, 1024, 0.14),
        (2, 64, 0.04),
        (2, 256, 0.15),
        (2, 1024, 0.62),
        (3, 32, 0.79),
        (3, 64, 1.6),
    ],
)
def test_traffic_over_computation_of_the_paper_stages_matches_the_reference(
    number: int, gpus: int, expected: float
) -> None:
    assert work(number).traffic(gpus, H200, 0.5) == pytest.approx(expected, abs=0.006 + 0.04 * expected)


def test_useful_gpus_of_the_paper_stages() -> None:
    """The reference says ~1000, 256-512, 16-32: at traffic of 14%, 15-31% and 39-79%. Here it is 25% for all."""
    assert work(1).useful_gpus(H200, 0.5) == 1024
    assert work(2).useful_gpus(H200, 0.5) == 256
    assert work(3).useful_gpus(H200, 0.5) == 8
    assert work(1, micro_batches=100).useful_gpus(H200, 0.5) == 64  # beyond it, some get no micro-batch


def test_zero_2_and_3_reduce_in_every_micro_batch() -> None:
    assert traffic_bytes(100, 40, 1, 8) == 2 * (40 + 40)
    assert traffic_bytes(100, 40, 2, 8) == 2 * (8 * 40 + 40)
    assert traffic_bytes(100, 40, 3, 8) == 2 * (8 * 40 + 8 * 2 * 100)
    assert traffic_bytes(100, 40, 2, 1) == traffic_bytes(100, 40, 0, 1) == traffic_bytes(100, 40, 1, 8)
    assert work(2, zero=2).traffic(64, H200, 0.5) > 10 * work(2, zero=1).traffic(64, H200, 0.5)


def test_nothing_is_sent_by_one_gpu_and_a_node_is_faster_than_its_network() -> None:
    assert traffic_seconds(1e9, 1, H200) == 0
    assert traffic_seconds(1e9, 16, H200) > 8 * traffic_seconds(1e9, 8, H200)


def test_gpus_without_a_micro_batch_wait() -> None:
    even, odd = work(3, 128), work(3, 129)
    assert even.micro_steps(64) == 2 and odd.micro_steps(64) == 3
    assert odd.compute_seconds(64, H200, 0.5) == pytest.approx(even.compute_seconds(64, H200, 0.5) * 1.5 * 128 / 129)


def test_an_unknown_gpu_is_refused_with_the_known_names() -> None:
    with pytest.raises(RecipeError, match="h100, h200"):
        gpu("h1000")
