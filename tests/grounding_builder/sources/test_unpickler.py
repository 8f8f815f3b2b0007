"""Untrusted pickles: plain data is loaded, code never runs."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qvl.grounding_builder.sources.unpickler import load_plain
from qvl.pipeline.base.errors import DataError
from tests.grounding_builder.helpers import DATA


class Hostile:
    """Unpickling it with the standard unpickler creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_load_plain_raises_when_the_pickle_runs_code(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "owned"
    data = pickle.dumps([{"ref_id": 1}, Hostile(target)], protocol)
    with pytest.raises(DataError, match=r"the pickle imports .*, which is refused"):
        load_plain(data)
    assert not target.exists()


def test_load_plain_raises_on_every_import() -> None:
    for data in (b"cbuiltins\neval\n(S'1'\ntR.", b"c__builtin__\ngetattr\n.", b"ccollections\nOrderedDict\n(tR."):
        with pytest.raises(DataError, match="refused"):
            load_plain(data)


def test_load_plain_reads_python_2_pickles() -> None:
    assert load_plain(b"(lp0\n(dp1\nS'sent'\np2\nS'caf\\xe9'\np3\nsa.") == [{"sent": "caf\xe9"}]
    refs = load_plain((DATA / "refcoco" / "refs(unc).p").read_bytes())
    assert refs[0]["sentences"][0]["sent"] == "water bottle with a blue cap"


def test_load_plain_raises_when_the_pickle_is_corrupted() -> None:
    for data in (b"", b"hello", pickle.dumps([1, 2, 3])[:-4], b"\x80\x04]q\x00(K\x01"):
        with pytest.raises(DataError):
            load_plain(data)


@pytest.mark.parametrize(
    "data",
    [
        b"]r" + (2**32 - 2).to_bytes(4, "little") + b".",  # a memo of 64 GiB
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"x.",  # bytes of 1 TiB that are not there
        b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b"x.",  # a number of 2 GiB
        b"(" * 1_000_000 + b"t" * 1_000_000 + b".",
        b"]" + b"]" * 1_000_000 + b"a" * 1_000_000 + b".",
    ],
    ids=["memo", "bytes", "number", "tuples", "lists"],
)
def test_load_plain_when_the_pickle_asks_for_memory_or_depth_ends(data: bytes) -> None:
    try:
        load_plain(data)
    except DataError as error:
        assert "truncated or corrupted" in str(error)


def test_load_plain_when_the_memo_is_a_bomb_says_that_memory_ran_out() -> None:
    with pytest.raises(DataError, match="MemoryError"):
        load_plain(b"]r" + (2**32 - 2).to_bytes(4, "little") + b".")


@settings(max_examples=300)
@given(st.binary(max_size=60))
@example(b"\x80\x05.")
@example(b"(dp0\nI1\nI2\ns0.")
def test_load_plain_when_bytes_are_arbitrary_loads_them_or_refuses(data: bytes) -> None:
    try:
        load_plain(data)
    except DataError as error:
        assert str(error)


@settings(max_examples=300)
@given(st.integers(0, 2**20), st.integers(1, 8), st.binary(max_size=8))
def test_load_plain_when_a_real_pickle_is_changed_loads_it_or_refuses(at: int, count: int, new: bytes) -> None:
    data = pickle.dumps([{"ref_id": 1, "sentences": [{"sent": "café", "sent_id": 2}], "bbox": (1.5, None, True)}] * 2)
    at %= len(data)
    try:
        load_plain(data[:at] + new + data[at + count :])
    except DataError as error:
        assert str(error)
