"""Work in a child process: limits on time and memory, and replacement."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from qvl.synth_ocr.page.confined_process import RECYCLE, ConfinedProcess, Limits, ProcessStopped


def whoami(_: Any) -> Any:
    import os

    yield os.getpid()


def test_child_after_many_tasks_or_an_unfinished_one_is_replaced() -> None:
    child = ConfinedProcess(whoami, Limits(60.0, 4096))
    seen = [next(iter(child.results(None))) for _ in range(2)]  # an unfinished task ends the child
    assert seen[0] != seen[1]
    whole = [number for _ in range(RECYCLE + 1) for number in child.results(None)]
    assert len(set(whole)) == 2 and whole.count(whole[-1]) == 1
    child.close()


def failing(_: Any) -> Iterator[int]:
    yield 1
    raise LookupError("\x1b]0;owned\x07\u202e")


def test_child_when_it_fails_prints_a_traceback_that_cannot_control_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    child = ConfinedProcess(failing, Limits(60.0, 4096))
    results = child.results(None)
    assert next(results) == 1
    with pytest.raises(ProcessStopped, match="error:LookupError"):
        next(results)
    printed = capfd.readouterr().err
    assert "Traceback" in printed
    assert "\x1b" not in printed


def endless(_: Any) -> Iterator[int]:
    yield 1
    time.sleep(60)


def greedy(_: Any) -> Iterator[int]:
    yield len(bytearray(3 << 30))


def test_child_when_over_a_limit_is_stopped_with_the_verdict_and_serves_again() -> None:
    slow = ConfinedProcess(endless, Limits(1.0, 4096))
    results = slow.results(None)
    # the first start imports the test's modules
    slow.limits = Limits(30.0, 4096)
    assert next(results) == 1
    slow.limits = Limits(0.2, 4096)
    with pytest.raises(ProcessStopped, match="unreadable:time"):
        next(results)
    hungry = ConfinedProcess(greedy, Limits(30.0, 2048))
    for _ in range(2):
        with pytest.raises(ProcessStopped, match="unreadable:memory"):
            list(hungry.results(None))
    hungry.close()
