"""What of an output cannot be shown."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.view.tables.faults import Faults, inside, inside_all, reason


def test_read_when_it_fails_names_the_file_once_and_gives_the_other_value() -> None:
    def fail() -> int:
        raise KeyError("sources")

    faults = Faults()
    assert [faults.read("recipe.json", fail, 7) for _ in range(2)] == [7, 7]
    assert faults.lines == ["recipe.json cannot be shown: unexpected content (KeyError: 'sources')"]
    assert faults.read("x", lambda: 8, 7) == 8


def test_reason_when_an_error_has_several_lines_is_the_first() -> None:
    assert reason(DataError("one\ntwo")) == "one"
    assert reason(OSError(13, "Permission denied")) == "Permission denied"
    assert reason(ValueError()) == "ValueError"
    assert len(reason(ValueError("x" * 5_000))) == 300


def test_inside_when_a_path_leads_out_raises(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "shards").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (out / "link").symlink_to(tmp_path / "secret")
    (out / "own").write_text("o")
    assert inside(out, out / "own") == out / "own" and inside(out, out / "missing") == out / "missing"
    for path in (out / "link", out / ".." / "secret"):
        with pytest.raises(DataError, match="outside of the output"):
            inside(out, path)
    with pytest.raises(DataError, match="not a file"):
        inside_all(out, [out / "own", out / "shards"])
