"""Results in the user's cache folder."""

from pathlib import Path

import pytest

from qvl.synth_ocr.page.user_cache import cached_bytes


def test_result_is_computed_once_and_stored_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls: list[int] = []

    def compute() -> bytes:
        calls.append(1)
        return b"result"

    assert [cached_bytes("name-1", compute) for _ in range(2)] == [b"result"] * 2
    assert len(calls) == 1 and [path.name for path in (tmp_path / "qvl").iterdir()] == ["name-1"]
