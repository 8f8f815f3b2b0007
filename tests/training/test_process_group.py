"""A process group of one and of two real processes: decisions, gathered records, sums, plans that differ, stop signals."""

import os
import signal
from dataclasses import dataclass

import pytest
import torch

from qvl.pipeline.base.errors import ContractError, DataError, RecipeError
from qvl.training.process_group import ProcessGroup, StopSignal, evaluation_group, require_same_plan
from tests.training.forked import run_ranks


@dataclass(frozen=True, slots=True)
class Counts:
    plan: int
    wait: float
    stop: bool


def check_group_of_two() -> None:
    with evaluation_group() as group:
        assert (group.size, group.is_first, group.is_first_on_machine) == (2, group.rank == 0, group.rank == 0)
        assert group.decide(lambda: f"rank {group.rank}") == "rank 0"
        with pytest.raises(DataError, match=r"^raised by rank 0$"):
            group.decide(lambda: raise_data_error(f"raised by rank {group.rank}"))
        large = (1 << 48) - 1
        expected = [Counts(large - rank, 0.25 * rank, rank == 1) for rank in (0, 1)]
        found = group.gather_numbers(expected[group.rank])
        assert found == expected and [type(record.stop) for record in found] == [bool, bool], found
        assert group.gather_objects({"rank": group.rank}) == [{"rank": 0}, {"rank": 1}]
        assert group.sum_over_ranks(torch.tensor([group.rank + 1.0])).tolist() == [3.0]
        group.barrier()


def test_methods_of_a_group_of_two_processes_give_equal_results_on_both() -> None:
    run_ranks(check_group_of_two)


def test_a_group_of_one_when_asked_anything_needs_no_other_process() -> None:
    with evaluation_group() as group:
        assert group == ProcessGroup()
    assert group.is_first and group.is_first_on_machine
    assert group.decide(lambda: 3) == 3
    assert group.gather_numbers(Counts(1, 0.5, True)) == [Counts(1, 0.5, True)]
    assert group.gather_objects("value") == ["value"]
    assert group.sum_over_ranks(torch.tensor([2.0])).tolist() == [2.0]
    group.barrier()
    with pytest.raises(DataError):
        group.decide(lambda: raise_data_error("refused"))


def raise_data_error(reason: str) -> None:
    raise DataError(reason)


def test_ranks_with_another_plan_than_rank_0_are_named() -> None:
    require_same_plan(3, [7, 7, 7])
    with pytest.raises(ContractError, match=r"step 3: ranks \[1, 3\] planned other samples than rank 0"):
        require_same_plan(3, [7, 8, 7, 9])


def test_the_first_signal_requests_a_stop_and_the_second_one_interrupts() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE=x"),
        ({"WORLD_SIZE": "-1"}, "WORLD_SIZE=-1"),
        ({"WORLD_SIZE": "2"}, "RANK expected"),
    ],
)
def test_environment_when_it_describes_no_group_is_refused(
    settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=message), evaluation_group():
        pass
