"""Untrusted pickles: plain data is loaded, code never runs."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

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
