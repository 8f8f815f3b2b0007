"""Rows of JSON lines and JSON lists, readable and unreadable."""

from pathlib import Path

from qvl.pipeline.builders.text.rows import UnreadableRow, json_rows
from qvl.pipeline.storage.reader import Storage


def test_json_rows_skips_blank_lines_and_marks_unreadable_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"id": 1}\n\n[2]\n{"id"\n{"id": 3}')
    assert list(json_rows(str(path), Storage())) == [
        {"id": 1},
        UnreadableRow("no_object"),
        UnreadableRow("json"),
        {"id": 3},
    ]


def test_json_rows_reads_a_list_or_a_single_object(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content, rows in ((b'[{"id": 1}, 2]', [{"id": 1}, UnreadableRow("no_object")]), (b'{"id": 1}', [{"id": 1}])):
        path.write_bytes(content)
        assert list(json_rows(str(path), Storage())) == rows
    path.write_bytes(b"[{")
    assert list(json_rows(str(path), Storage())) == [UnreadableRow("json")]
