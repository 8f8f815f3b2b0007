"""Costs of steps: kept by name, added up over runs, also where a step fails."""

from pathlib import Path

import numpy as np
import pytest

from qvl.training.pages.journey.steps import measured, read_costs


def test_measured_adds_up_costs_over_runs(tmp_path: Path) -> None:
    file = tmp_path / "steps.json"
    with measured(file, "one"):
        sum(range(3_000_000))
    first = read_costs(file)["one"]
    with measured(file, "two"):
        pass
    with measured(file, "one"):
        sum(range(3_000_000))
    costs = read_costs(file)
    assert list(costs) == ["one", "two"]
    assert costs["one"].cpu > first.cpu > 0
    assert costs["one"].seconds > first.seconds


def test_measured_when_the_step_fails_writes_its_cost(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), measured(tmp_path / "steps.json", "broken"):
        _ = 1 // 0
    assert "broken" in read_costs(tmp_path / "steps.json")


def test_measured_peak_memory_is_that_of_the_step(tmp_path: Path) -> None:
    """400 MB in one step are not counted in the next one."""
    file = tmp_path / "steps.json"
    with measured(file, "large"):
        np.ones(50_000_000).sum()
    with measured(file, "small"):
        pass
    costs = read_costs(file)
    assert costs["large"].peak_mb > costs["small"].peak_mb + 200
