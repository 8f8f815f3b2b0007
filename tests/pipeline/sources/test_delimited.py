"""TSV and CSV as people write them: the file decides its dialect unless the recipe names it."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.delimited import Dialect, dialect_of, read_delimited
from qvl.pipeline.sources.table_records import Expectation

ROWS = [
    ["0.jpg", 'He said "hello" to the dog'],
    ["1.jpg", '"Quoted title" of a painting'],
    ["2.jpg", "A caption with\na line break"],
    ["3.jpg", "A caption with\ta tabulator"],
    ["4.jpg", "A plain one, with a comma; and more"],
    ["5.jpg", "一只猫坐在窗台上"],
]


def expectation(**options: object) -> Expectation:
    return Expectation(Columns(caption="text", path="file"), None, True, **options)  # type: ignore[arg-type]


def write(path: Path, delimiter: str, encoding: str = "utf-8", newline: str = "\n") -> Path:
    """The rows as Python's csv module and pandas write them."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=newline).writerows([["file", "text"], *ROWS])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def read(path: Path, kind: str, **options: object) -> list[list[str]]:
    records = list(read_delimited(path, expectation(**options), kind))  # type: ignore[arg-type]
    return [
        [value.decode() for value in record.values()] if isinstance(record, dict) else [record] for record in records
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("kind", "delimiter"), [("csv", ","), ("csv", ";"), ("csv", "\t"), ("csv", "|"), ("tsv", "\t")]
)
def test_quoted_files_of_every_delimiter_and_encoding_are_read_as_they_were_written(
    tmp_path: Path, kind: str, delimiter: str, encoding: str, newline: str
) -> None:
    assert read(write(tmp_path / "t", delimiter, encoding, newline), kind) == ROWS


def test_a_file_in_gbk_is_read_where_the_recipe_names_it(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ",", "gbk")
    assert read(path, "csv", encoding="gbk") == ROWS
    found = list(read_delimited(path, expectation(), "csv"))[-1]
    assert isinstance(found, dict)
    assert found["text"] == ROWS[-1][1].encode("gbk")  # not UTF-8: the scan gives it that verdict


def test_an_encoding_that_contradicts_the_byte_order_mark_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ",", "utf-16")
    assert read(path, "csv", encoding="utf-16") == ROWS
    with pytest.raises(RecipeError, match="byte order mark says utf-16-le, the recipe says `encoding: gbk`"):
        read(path, "csv", encoding="gbk")
    with pytest.raises(RecipeError, match="no encoding latin-99"):
        read(path, "csv", encoding="latin-99")


@pytest.mark.parametrize(
    "captions",
    [
        ['"Hello" he said', "plain"],
        ['"A poster"', "plain"],  # could be quoted, but nothing shows it
        ['5" nails', 'a 3"x2" board'],
        ['"unclosed', 'and " later'],
        ["no quotes"],
    ],
)
def test_quotes_in_an_unquoted_tsv_are_characters(tmp_path: Path, captions: list[str]) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("file\ttext\n" + "".join(f"{i}.jpg\t{text}\n" for i, text in enumerate(captions)), "utf-8")
    assert [row[1] for row in read(path, "tsv")] == captions


def test_quotes_are_read_as_the_recipe_says_whatever_the_file_shows(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", "\t")
    assert read(path, "tsv", quote=False)[0] == ["0.jpg", '"He said ""hello"" to the dog"']
    plain = tmp_path / "plain.tsv"
    plain.write_text('file\ttext\n0.jpg\t"A poster"\n', "utf-8")
    assert read(plain, "tsv", quote=True) == [["0.jpg", "A poster"]]


def test_a_delimiter_that_no_column_is_found_with_is_named_in_the_error(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ":")
    with pytest.raises(RecipeError, match="no column text, file; it has file:text; set `delimiter:`"):
        read(path, "csv")
    assert read(path, "csv", delimiter=":") == ROWS


def test_a_quote_that_ends_after_the_head_of_a_long_file_is_still_a_quote(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    long = "a line\n" * 60
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows([["file", "text"], *[["0.jpg", long]] * 400])
    path.write_text(text.getvalue(), "utf-8")
    assert dialect_of(path, expectation(), "tsv") == Dialect("\t", quoted=True)
    assert read(path, "tsv") == [["0.jpg", long]] * 400


FIELD = st.text(st.sampled_from('ab ",;\t\n猫'), max_size=8)


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=8), st.sampled_from([(",", "csv"), ("\t", "tsv")]))
def test_any_rows_that_python_writes_with_all_quotes_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], form: tuple[str, str]
) -> None:
    delimiter, kind = form
    path = tmp_path_factory.mktemp("csv") / "t"
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("file", "text"), *rows])
    path.write_text(text.getvalue(), "utf-8", newline="")
    assert read(path, kind, quote=True) == [list(row) for row in rows]
