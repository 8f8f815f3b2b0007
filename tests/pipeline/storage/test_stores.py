"""Talking to a store: which failures are repeated, and what a missing file is."""

import fsspec
import pytest

from qvl.pipeline.base.errors import QvlError, RecipeError
from qvl.pipeline.storage import stores
from qvl.pipeline.storage.stores import TRIES, kind_of, open_filesystem, with_retries


class Flaky:
    """A call that fails a number of times and then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.0)


@pytest.mark.parametrize("failures", [0, 1, TRIES - 1])
def test_a_call_is_repeated_until_the_store_answers(failures: int) -> None:
    call = Flaky(failures, OSError("500 Internal Error"))
    assert with_retries(call) == "answer"
    assert call.calls == failures + 1


def test_when_a_store_always_fails_the_error_is_one_line_and_not_an_oserror() -> None:
    call = Flaky(TRIES, OSError("500 Internal Error\nsecond line"))
    with pytest.raises(QvlError, match=r"failed 6 times in a row, the last time with: 500 Internal Error;") as caught:
        with_retries(call)
    assert call.calls == TRIES
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [FileNotFoundError("x"), FileExistsError("x"), PermissionError("x"), KeyError("bug")])
def test_an_answer_about_the_file_and_a_bug_are_raised_at_once(error: Exception) -> None:
    call = Flaky(1, error)
    with pytest.raises(type(error)):
        with_retries(call)
    assert call.calls == 1


def test_a_path_is_a_file_a_directory_or_nothing() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/kinds/file", b"x")
    assert kind_of("memory://kinds/file") == "file"
    assert kind_of("memory://kinds") == "directory"
    assert kind_of("memory://kinds/none") is None
    memory.rm("/kinds", recursive=True)


def test_an_unknown_protocol_is_an_error_that_names_the_path() -> None:
    with pytest.raises(RecipeError, match="nonsense://x: "):
        open_filesystem("nonsense://x")


def test_a_call_that_fails_after_a_long_wait_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "PATIENCE", -1.0)
    call = Flaky(TRIES, OSError("Read timeout"))
    with pytest.raises(QvlError, match="failed 1 times in a row, the last time with: Read timeout"):
        with_retries(call)
    assert call.calls == 1


def test_results_of_threads_are_in_order_and_an_error_of_one_is_raised() -> None:
    assert list(stores.map_in_threads(lambda n: n * n, range(100))) == [n * n for n in range(100)]
    assert list(stores.map_in_threads(str, [])) == []
    with pytest.raises(ZeroDivisionError):
        list(stores.map_in_threads(lambda n: 1 // n, [1, 0, 1]))


def test_requests_to_s3_have_timeouts_that_the_configuration_of_fsspec_may_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filesystem, _ = open_filesystem("s3://bucket/file")
    assert filesystem.config_kwargs == stores.TIMEOUTS
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 99}})
    filesystem, _ = open_filesystem("s3://bucket/file")
    assert filesystem.config_kwargs == {**stores.TIMEOUTS, "read_timeout": 99}
