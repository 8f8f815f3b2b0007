"""Pools: every item once, errors unchanged, as many tasks in flight as the cluster has room for now."""

import subprocess
import sys
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.base.pool import GuardedPool, Resources, SerialPool, tasks_in_flight
from tests.shared import HANG

ROOT = Path(__file__).parents[3]
RAY = """
import ray
from ray.cluster_utils import Cluster
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.pool import RayPool, Resources

def double(item):
    if item == 99:
        raise DataError("99 is damaged")
    return 2 * item

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
pool = RayPool(cluster.address)
print(pool.resources().cpus)
results = pool.map(double, range(50), Resources(gpus=1))
first = next(results)
cluster.add_node(num_cpus=2)
cluster.wait_for_nodes()
print(pool.resources().cpus)
print(sorted([first, *results]) == [(item, 2 * item) for item in range(50)])
try:
    list(pool.map(double, [99]))
except DataError as error:
    print(error)
pool.close()
cluster.shutdown()
"""


def test_a_serial_pool_runs_the_items_in_order() -> None:
    assert list(SerialPool().map(str, [3, 1, 2])) == [(3, "3"), (1, "1"), (2, "2")]


def test_an_error_of_the_function_reaches_the_caller() -> None:
    def fail(item: int) -> int:
        raise DataError(f"{item} is damaged")

    with pytest.raises(DataError, match="1 is damaged"):
        list(SerialPool().map(fail, [1]))


def test_a_guarded_pool_stops_at_the_first_failing_check() -> None:
    results: list[int] = []

    def check() -> None:
        if len(results) == 2:
            raise QvlError("the lock is lost")

    with pytest.raises(QvlError, match="the lock is lost"):
        for item, _ in GuardedPool(SerialPool(), check).map(str, range(5)):
            results.append(item)
    assert results == [0, 1]


@pytest.mark.parametrize(
    ("needs", "cluster", "expected"),
    [
        (Resources(), Resources(cpus=4), 8),
        (Resources(cpus=2), Resources(cpus=4), 4),
        (Resources(cpus=0.5), Resources(cpus=4), 16),
        (Resources(gpus=1), Resources(cpus=16, gpus=2), 4),
        (Resources(memory=3 << 30), Resources(cpus=16, memory=8 << 30), 4),
        (Resources(cpus=8), Resources(cpus=4), 2),
        (Resources(cpus=0), Resources(cpus=4), 2),
    ],
    ids=["cpus", "two cpus", "half a cpu", "gpus", "memory", "too large", "nothing"],
)
def test_the_scarcest_resource_bounds_the_tasks_in_flight(needs: Resources, cluster: Resources, expected: int) -> None:
    assert tasks_in_flight(needs, cluster) == expected


def test_when_a_ray_cluster_grows_the_pool_sees_it_and_gives_every_result() -> None:
    """Tasks that need a GPU run without one, because this cluster has none. An error keeps its type."""
    result = subprocess.run(
        [sys.executable, "-c", RAY], capture_output=True, text=True, check=False, cwd=ROOT, timeout=HANG
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n") == ["1.0", "3.0", "True", "99 is damaged", ""]
