"""Text in every encoding, and gzip within its bound."""

import gzip
from pathlib import Path

import pytest

import qvl.pipeline.sources.text_files
from qvl.pipeline.sources.bounded_parquet import ExpandsTooFar
from qvl.pipeline.sources.text_files import open_text

TEXT = "one 猫\ntwo é\n" * 10_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_open_text_gives_utf8_without_a_mark(tmp_path: Path, encoding: str, packed: bool) -> None:
    data = TEXT.encode(encoding)
    (tmp_path / "t").write_bytes(gzip.compress(data) if packed else data)
    with open_text(tmp_path / "t", 100, None) as file:
        assert list(file) == TEXT.encode().splitlines(keepends=True)


def test_open_text_when_gzip_expands_beyond_its_bound_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qvl.pipeline.sources.text_files, "LEAST_BUDGET", 1 << 20)
    (tmp_path / "t").write_bytes(gzip.compress(b"x" * (8 << 20)))
    with pytest.raises(ExpandsTooFar), open_text(tmp_path / "t", 10, None) as file:
        file.read()
    with open_text(tmp_path / "t", 10_000, None) as file:
        assert len(file.read()) == 8 << 20


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", gzip.compress(TEXT.encode(), mtime=0)[:80], b"\xff\xfe\x00"])
def test_open_text_when_a_file_is_cut_gives_what_is_there_or_an_error_of_the_list(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t").write_bytes(data)
    try:
        with open_text(tmp_path / "t", 100, None) as file:
            read = file.read()
    except (EOFError, UnicodeDecodeError):
        return
    assert read == b""
