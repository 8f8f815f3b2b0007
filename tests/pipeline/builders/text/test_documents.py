"""Rows of interleaved documents as parts in order."""

import base64
import gzip
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.builders.text.documents import document, document_rows, key_of
from qvl.pipeline.builders.text.rows import UnreadableRow
from qvl.pipeline.sources.embedded_images import EmbeddedImage
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.builders.text.interleaved_files import png


def test_document_when_a_position_has_both_or_none_keeps_what_there_is() -> None:
    found = document({"images": ["a.png", None, "b.png"], "texts": ["A", None, None]})
    assert found.parts == (EmbeddedImage(path="a.png"), "A", EmbeddedImage(path="b.png"))


def test_document_when_an_image_is_base64_decodes_it() -> None:
    text = base64.b64encode(png(0)).decode()
    info = [{"image_base64": text, "image_name": "x.png", "matched_text_index": 0}]
    assert document({"text_list": ["A"], "image_info": info}).parts == (EmbeddedImage(png(0)), "A")


def test_document_when_an_image_is_the_long_name_of_a_file_does_not_take_it_for_base64() -> None:
    name = "0123456789abcdef" * 4
    assert document({"images": [name], "texts": [None]}).parts == (EmbeddedImage(path=name),)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ({"id": "a", "url": "b"}, "a"),
        ({"url": "b"}, "b"),
        ({"general_metadata": '{"url": "c"}'}, "c"),
        ({"general_metadata": {"id": 5, "url": "c"}}, "5"),
        ({"general_metadata": "not json"}, "7"),
        ({}, "7"),
    ],
)
def test_key_of_a_row_is_what_it_calls_itself_or_its_number(row: dict[str, Any], key: str) -> None:
    assert key_of(row, 7) == key


def test_document_rows_when_the_lines_are_compressed_reads_them(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1}\n{"id": NaN}\nnone\n'))
    first, second, third = document_rows(str(tmp_path / "a.jsonl.gz"), Storage())
    assert first == {"id": 1} and isinstance(second, dict)
    assert third == UnreadableRow("bad_json")


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl.gz"])
def test_document_rows_when_the_file_is_damaged_are_one_unreadable_row(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PAR1 broken" if name.endswith("parquet") else gzip.compress(b"{}" * 50_000)[:60])
    assert list(document_rows(str(tmp_path / name), Storage())) == [UnreadableRow("damaged_table")]
