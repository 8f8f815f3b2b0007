"""Tables of every format: one row per line, one fault per bad line, images from the table or from a folder."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.base import ImageReference, Row, number
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.table import Table
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import faults, jpeg, read_all
from tests.pipeline.sources.parquet_tables import in_table, write_parquet

INVALID = b"caf\xe9 au lait"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images in ``images`` and one file outside that must not be read."""
    (tmp_path / "images" / "sub").mkdir(parents=True)
    for seed, name in enumerate(("0.jpg", "1.jpg", "sub/2.jpg")):
        (tmp_path / "images" / name).write_bytes(jpeg(seed))
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return tmp_path


def with_paths(folder: Path, file: str, **options: Any) -> Table:
    columns = options.pop("columns", Columns(caption="text", path="file"))
    return Table(paths=(str(folder / file),), image_folder=str(folder / "images"), columns=columns, **options)


def write_jsonl(folder: Path, records: list[dict[str, Any]]) -> None:
    (folder / "t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def texts(rows: list[Row]) -> list[str]:
    return [row.caption.decode() for row in rows]


def test_parquet_with_image_bytes_is_read(tmp_path: Path, storage: Storage) -> None:
    images = [jpeg(i) for i in range(3)]
    path = write_parquet(tmp_path, {"text": ["a", "猫", None], "jpg": images, "id": [7, 8, 9], "clip": [0.5, None, 1]})
    rows = read_all(in_table(path, caption="text", image="jpg", key="id", clip="clip"), storage)
    assert [(r.key, r.caption.decode(), r.image, r.numbers) for r in rows] == [
        ("7", "a", images[0], {"clip": 0.5}),
        ("8", "猫", images[1], {}),
        ("9", "", images[2], {"clip": 1.0}),
    ]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([5, 0]),
        pa.array([True, False]),
        pa.array([0, 1], pa.date32()),
    ],
    ids=lambda values: str(values.type),
)
def test_a_caption_that_is_not_text_is_a_fault(tmp_path: Path, storage: Storage, values: pa.Array) -> None:
    path = write_parquet(tmp_path, {"text": values, "jpg": [jpeg(0), jpeg(1)]})
    rows = read_all(in_table(path, caption="text", image="jpg"), storage)
    assert [(r.caption, r.image, r.fault) for r in rows] == [(b"", None, "unreadable:bad_caption")] * 2


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (pa.array([["A photo"], []], pa.list_(pa.string())), "name a column of text"),
        (pa.array([{"en": "A photo", "zh": "猫"}, {"en": "", "zh": ""}]), "name one of its fields: text.en, text.zh"),
    ],
)
def test_a_caption_column_that_is_a_list_or_an_object_is_refused(
    tmp_path: Path, storage: Storage, values: pa.Array, hint: str
) -> None:
    path = write_parquet(tmp_path, {"text": values, "jpg": [jpeg(0), jpeg(1)]})
    with pytest.raises(RecipeError, match=rf"column text has type .*, which cannot be a caption; {hint}"):
        read_all(in_table(path, caption="text", image="jpg"), storage)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1, 2]), "int64"),
        (pa.array([[1], [2]]), "list<"),
        (pa.array([{"path": "a"}, {"path": "b"}]), "struct<"),
        (pa.array([{"bytes": 1}, {"bytes": 2}]), "int64"),
    ],
)
def test_an_image_column_that_cannot_hold_bytes_is_an_error_with_its_type(
    tmp_path: Path, storage: Storage, values: pa.Array, kind: str
) -> None:
    path = write_parquet(tmp_path, {"image": values})
    with pytest.raises(
        RecipeError, match=rf"t\.parquet: column image has type {kind}.*, which cannot hold image bytes"
    ):
        read_all(in_table(path, image="image"), storage)


def test_an_image_column_of_nulls_is_not_an_error(tmp_path: Path, storage: Storage) -> None:
    path = write_parquet(tmp_path, {"image": pa.nulls(2)})
    assert {row.fault for row in read_all(in_table(path, image="image"), storage)} == {"unreadable:no_image"}


@pytest.mark.parametrize("value", [5, "text", ["x"], {"bytes": 5}, {"path": "x"}, 1.5, True, None])
def test_an_image_that_is_not_bytes_is_a_fault(folder: Path, storage: Storage, value: Any) -> None:
    write_jsonl(folder, [{"text": "a", "image": value}])
    rows = read_all(in_table(folder / "t.jsonl", caption="text", image="image"), storage)
    assert [(row.image, row.fault) for row in rows] == [(None, "unreadable:no_image")]


def test_decimal_scores_become_floats(tmp_path: Path, storage: Storage) -> None:
    scores = pa.array([Decimal("0.31"), None], pa.decimal128(5, 3))
    path = write_parquet(tmp_path, {"jpg": [b"x", b"y"], "clip": scores})
    rows = read_all(in_table(path, image="jpg", clip="clip"), storage)
    assert [row.numbers for row in rows] == [{"clip": 0.31}, {}]
    assert [number(Decimal(word)) for word in ("nan", "snan", "inf", "1e999")] == [None] * 4


def test_a_null_image_is_a_fault(tmp_path: Path, storage: Storage) -> None:
    path = write_parquet(tmp_path, {"jpg": pa.array([jpeg(0), None], pa.binary())})
    assert faults(read_all(in_table(path, image="jpg"), storage)) == {"0": None, "1": "unreadable:no_image"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_hugging_face_images_are_read(tmp_path: Path, storage: Storage, kind: pa.DataType) -> None:
    struct = pa.struct([("bytes", kind), ("path", pa.string())])
    values = [{"bytes": jpeg(0), "path": "0.jpg"}, {"bytes": None, "path": "1.jpg"}, None]
    path = write_parquet(tmp_path, {"image": pa.array(values, struct), "text": ["a", "b", "c"]})
    rows = read_all(in_table(path, caption="text", image="image"), storage)
    assert [(r.image, r.fault) for r in rows] == [
        (jpeg(0), None),
        (None, "unreadable:no_image"),
        (None, "unreadable:no_image"),
    ]


def test_images_are_found_again_across_row_groups_and_batches(tmp_path: Path, storage: Storage) -> None:
    images = [b"%d" % i for i in range(1_000)]
    path = write_parquet(tmp_path, {"jpg": images}, row_group_size=300)
    assert [r.image for r in read_all(in_table(path, image="jpg"), storage)] == images


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_text_columns_of_every_type_are_read(tmp_path: Path, storage: Storage, kind: pa.DataType) -> None:
    column = pa.array(["é", None, "é"], pa.string()).cast(kind)
    path = write_parquet(tmp_path, {"text": column, "jpg": [b"x"] * 3})
    assert texts(read_all(in_table(path, caption="text", image="jpg"), storage)) == ["é", "", "é"]


def test_text_that_is_not_utf8_is_passed_on_unchanged(tmp_path: Path, storage: Storage) -> None:
    unchecked = pa.array([b"ok", INVALID], pa.binary()).view(pa.string())
    path = write_parquet(tmp_path, {"text": unchecked, "url": unchecked, "jpg": [b"x"] * 2})
    rows = read_all(in_table(path, caption="text", url="url", image="jpg"), storage)
    assert [row.caption for row in rows] == [b"ok", INVALID]
    assert rows[1].url == "caf\ufffd au lait"


def test_parquet_with_a_path_column_reads_the_image_folder(folder: Path, storage: Storage) -> None:
    write_parquet(folder, {"text": ["a", "b"], "file": ["sub/2.jpg", "0.jpg"]})
    rows = read_all(with_paths(folder, "t.parquet"), storage)
    assert [row.image for row in rows] == [jpeg(2), jpeg(0)]


@pytest.mark.parametrize("keep", [10, 200, -20])
def test_a_truncated_parquet_file_is_a_fault_of_the_unit(tmp_path: Path, storage: Storage, keep: int) -> None:
    path = write_parquet(tmp_path, {"jpg": [jpeg(i) for i in range(5)]})
    path.write_bytes(path.read_bytes()[:keep])
    assert [r.fault for r in read_all(in_table(path, image="jpg"), storage)] == ["unreadable:damaged_table"]


def test_the_parquet_files_of_img2dataset_are_read(tmp_path: Path, storage: Storage) -> None:
    columns = {"key": ["00", "01"], "caption": ["a", "b"], "url": ["u", "v"], "jpg": pa.array([jpeg(0), None])}
    path = write_parquet(tmp_path, columns)
    rows = read_all(Table(paths=(str(path),), preset="img2dataset"), storage)
    assert [(r.key, r.caption, r.url, r.fault) for r in rows] == [
        ("00", b"a", "u", None),
        ("01", b"b", "v", "unreadable:no_image"),
    ]


HOSTILE_PATHS = {
    "../secret.jpg": "unreadable:bad_path",
    "sub/../../secret.jpg": "unreadable:bad_path",
    "/etc/passwd": "unreadable:bad_path",
    "file:///etc/passwd": "unreadable:bad_path",
    "sub\\..\\..\\secret.jpg": "unreadable:bad_path",
    "0.jpg\0": "unreadable:bad_path",
    "": "unreadable:bad_path",
    "link.jpg": "unreadable:link_outside",
    "linked/passwd": "unreadable:link_outside",
    "loop.jpg": "unreadable:bad_path",
    "missing.jpg": "unreadable:no_image",
    "sub": "unreadable:no_image",
    "n" * 300: "unreadable:file:OSError",
    "n/" * 5_000: "unreadable:file:OSError",
}


def test_a_path_out_of_the_image_folder_is_a_fault_of_its_row(folder: Path, storage: Storage) -> None:
    images = folder / "images"
    (images / "link.jpg").symlink_to(folder / "secret.jpg")
    (images / "linked").symlink_to("/etc")
    (images / "loop.jpg").symlink_to(images / "loop.jpg")
    write_jsonl(folder, [{"text": "t", "file": name} for name in [*HOSTILE_PATHS, "1.jpg"]])
    rows = read_all(with_paths(folder, "t.jsonl"), storage)
    assert [row.fault for row in rows] == [*HOSTILE_PATHS.values(), None]
    assert [row.image for row in rows if row.image] == [jpeg(1)]


def test_a_link_inside_the_folder_is_followed(folder: Path, storage: Storage) -> None:
    (folder / "images" / "again.jpg").symlink_to("sub/2.jpg")
    write_jsonl(folder, [{"text": "t", "file": "again.jpg"}])
    assert read_all(with_paths(folder, "t.jsonl"), storage)[0].image == jpeg(2)


def test_the_image_folder_can_be_a_file_url(folder: Path, storage: Storage) -> None:
    (folder / "images" / "link.jpg").symlink_to(folder / "secret.jpg")
    write_jsonl(folder, [{"text": "t", "file": "0.jpg"}, {"text": "t", "file": "link.jpg"}])
    table = with_paths(folder, "t.jsonl").model_copy(update={"image_folder": f"file://{folder}/images"})
    assert [row.fault for row in read_all(table, storage)] == [None, "unreadable:link_outside"]


def test_table_and_images_can_be_remote(folder: Path, storage: Storage) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/set/t.jsonl", b'{"text": "a", "file": "0.jpg"}\n{"text": "b", "file": "../x"}\n')
    memory.pipe("/set/images/0.jpg", jpeg(0))
    columns = Columns(caption="text", path="file")
    table = Table(paths=("memory://set/*.jsonl",), image_folder="memory://set/images", columns=columns)
    try:
        rows = read_all(table, storage)
    finally:
        memory.rm("/", recursive=True)
    assert [(row.image, row.fault) for row in rows] == [(jpeg(0), None), (None, "unreadable:bad_path")]


def test_images_that_were_deleted_since_scan_are_left_out(folder: Path, storage: Storage) -> None:
    write_jsonl(folder, [{"text": "a", "file": "0.jpg"}, {"text": "b", "file": "1.jpg"}])
    table = with_paths(folder, "t.jsonl")
    (folder / "images" / "0.jpg").unlink()
    found = dict(table.images(table.units(storage)[0], [ImageReference(0, 0, 1), ImageReference(1, 1, 1)], storage))
    assert found == {1: jpeg(1)}


def test_an_image_over_the_limit_is_a_fault(folder: Path, storage: Storage) -> None:
    write_jsonl(folder, [{"text": "a", "file": "0.jpg"}])
    rows = read_all(with_paths(folder, "t.jsonl", max_image_bytes=len(jpeg(0)) - 1), storage)
    assert rows[0].fault == "unreadable:too_large"


def test_a_table_without_an_image_column_is_an_error(folder: Path, storage: Storage) -> None:
    write_jsonl(folder, [{"text": "a"}])
    with pytest.raises(RecipeError, match="image_folder"):
        read_all(Table(paths=(str(folder / "t.jsonl"),), columns=Columns(caption="text")), storage)


def test_bad_lines_of_jsonl_are_faults(folder: Path, storage: Storage) -> None:
    lines = [
        b'\xef\xbb\xbf{"text": "first", "file": "0.jpg"}',
        b'{"text": "cut',
        b"",
        b'{"text": "caf\xe9", "file": "0.jpg"}',
        b"[1, 2]",
        b'"text"',
        b'{"text": "\\ud800", "file": "0.jpg", "clip": 0.5}',
        b'{"text": "no number", "file": "0.jpg", "clip": NaN}',
        b'{"text": "a long one", "file": "0.jpg", "clip": 1' + b"0" * 5_000 + b"}",
        b'{"text": "last", "file": "1.jpg"}\r',
    ]
    (folder / "t.jsonl").write_bytes(b"\n".join(lines))
    rows = read_all(with_paths(folder, "t.jsonl", columns=Columns(caption="text", path="file", clip="clip")), storage)
    assert [row.numbers for row in rows if row.numbers] == [{"clip": 0.5}]
    assert [(row.caption, row.fault) for row in rows] == [
        (b"first", None),
        (b"", "unreadable:bad_json"),
        (b"", "unreadable:invalid_utf8"),
        (b"", "unreadable:bad_json"),
        (b"", "unreadable:bad_json"),
        (b"\xed\xa0\x80", None),  # not UTF-8: the scan gives it that verdict
        (b"no number", None),
        (b"a long one", None),
        (b"last", None),
    ]


def test_values_of_any_json_type_are_read_or_faults(folder: Path, storage: Storage) -> None:
    values: list[Any] = ["t", None, 5, 1.5, True, ["x"], {"a": 1}]
    write_jsonl(folder, [{"text": value, "file": "0.jpg", "score": value} for value in values])
    columns = Columns(caption="text", path="file", clip="score")
    rows = read_all(with_paths(folder, "t.jsonl", columns=columns), storage)
    assert texts(rows) == ["t", "", "", "", "", "", ""]
    assert [row.fault for row in rows] == [None, None, *["unreadable:bad_caption"] * 5]
    assert [row.numbers.get("clip") for row in rows] == [None, None, 5.0, 1.5, None, None, None]


def test_tsv_lines_with_wrong_field_counts_are_faults_and_quotes_are_text(folder: Path, storage: Storage) -> None:
    lines = [
        "file\ttext\tclip",
        '0.jpg\t"quoted" caption\t0.3',
        "1.jpg\ttoo\tmany\tfields",
        "0.jpg",
        "",
        '1.jpg\t"open\t',
    ]
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    columns = Columns(caption="text", path="file", clip="clip")
    rows = read_all(with_paths(folder, "t.tsv", columns=columns), storage)
    assert [(r.caption.decode(), r.fault, r.numbers) for r in rows] == [
        ('"quoted" caption', None, {"clip": 0.3}),
        ("", "unreadable:bad_line", {}),
        ("", "unreadable:bad_line", {}),
        ('"open', None, {}),
    ]


def test_tsv_with_windows_line_ends_byte_order_mark_and_invalid_text(folder: Path, storage: Storage) -> None:
    (folder / "t.tsv").write_bytes(b"\xef\xbb\xbftext\tfile\r\n" + INVALID + b"\t0.jpg\r\n")
    rows = read_all(with_paths(folder, "t.tsv"), storage)
    assert [(row.caption, row.image, row.fault) for row in rows] == [(INVALID, jpeg(0), None)]


def test_csv_fields_may_contain_newlines_quotes_and_commas(folder: Path, storage: Storage) -> None:
    captions = ["two\nlines", 'a "quoted" word', "one, two", "", INVALID.decode("utf-8", "surrogateescape")]
    with (folder / "t.csv").open("w", newline="", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "text"])
        writer.writerows([["0.jpg", caption] for caption in captions])
        writer.writerow(["0.jpg", "a", "b"])
    rows = read_all(with_paths(folder, "t.csv"), storage)
    assert [row.caption for row in rows[:5]] == [c.encode("utf-8", "surrogateescape") for c in captions]
    assert [row.fault for row in rows] == [*[None] * 5, "unreadable:bad_line"]


def test_a_field_beyond_the_limit_is_a_bad_line(folder: Path, storage: Storage) -> None:
    (folder / "t.csv").write_bytes(b"file,text\n0.jpg," + b"x" * (17 << 20) + b"\n1.jpg,ok\n")
    rows = read_all(with_paths(folder, "t.csv"), storage)
    assert rows[0].fault == "unreadable:bad_line"
    assert (rows[-1].caption, rows[-1].fault) == (b"ok", None)


@pytest.mark.parametrize("more", [0, 5, 300, 3_000])
@pytest.mark.parametrize("end", ["", '2.jpg,"quoted"\n', '2.jpg,"two\nlines"\n', '2.jpg,"one, two"\n', '2.jpg,""\n'])
def test_an_unclosed_quote_spoils_only_its_own_line(folder: Path, storage: Storage, more: int, end: str) -> None:
    good = "".join(f"0.jpg,good {i}\n" for i in range(more))
    (folder / "t.csv").write_text(f'file,text\n0.jpg,first\n0.jpg,"open\n{good}{end}', newline="")
    rows = read_all(with_paths(folder, "t.csv"), storage)
    assert [row.fault for row in rows[:2]] == [None, "unreadable:bad_line"]
    assert texts(rows[2 : 2 + more]) == [f"good {i}" for i in range(more)]
    assert len(rows) == 2 + more + bool(end)
    assert {row.fault for row in rows[2 : 2 + more]} <= {None}


def test_every_line_of_quotes_has_a_verdict(folder: Path, storage: Storage) -> None:
    (folder / "t.csv").write_text("file,text\n" + '0.jpg,"\n' * 501)
    rows = read_all(with_paths(folder, "t.csv"), storage)
    assert [row.fault for row in rows] == [*[None] * 250, "unreadable:bad_line"]
    (folder / "t.csv").write_text("file,text\n" + '0.jpg,"a" b\n' * 300 + "0.jpg,good\n")
    rows = read_all(with_paths(folder, "t.csv"), storage)
    assert [row.fault for row in rows] == [*["unreadable:bad_line"] * 300, None]


def test_an_unreadable_header_is_a_damaged_table(folder: Path, storage: Storage) -> None:
    (folder / "t.csv").write_text('file,"text" x\n0.jpg,a\n')
    rows = read_all(with_paths(folder, "t.csv"), storage)
    assert [row.fault for row in rows] == ["unreadable:damaged_table"]


def test_a_bad_first_line_of_a_table_without_header_is_a_fault(folder: Path, storage: Storage) -> None:
    (folder / "t.csv").write_text('0.jpg,"a" b\n0.jpg,good\n')
    rows = read_all(with_paths(folder, "t.csv", columns=Columns(path=0, caption=1)), storage)
    assert [(row.caption, row.fault) for row in rows] == [(b"", "unreadable:bad_line"), (b"good", None)]


@pytest.mark.parametrize("ending", ["tsv", "csv"])
@pytest.mark.parametrize("content", [b"", b"file\ttext\n", b"file,text\n"])
def test_a_table_without_rows_is_empty(folder: Path, storage: Storage, ending: str, content: bytes) -> None:
    (folder / f"t.{ending}").write_bytes(
        content.replace(b"\t", b",") if ending == "csv" else content.replace(b",", b"\t")
    )
    assert read_all(with_paths(folder, f"t.{ending}"), storage) == []


@pytest.mark.parametrize("ending", ["tsv", "csv", "parquet"])
@pytest.mark.parametrize("wrong", ["caption", "path", "clip", "nsfw", "aesthetic", "url", "key"])
def test_a_misspelt_column_is_an_error_that_names_it(folder: Path, storage: Storage, ending: str, wrong: str) -> None:
    (folder / "t.tsv").write_text("text\tfile\na\t0.jpg\n")
    (folder / "t.csv").write_text("text,file\na,0.jpg\n")
    write_parquet(folder, {"text": ["a"], "file": ["0.jpg"]})
    columns = Columns(**{"caption": "text", "path": "file", wrong: "txet"})
    with pytest.raises(RecipeError, match=rf"t\.{ending}: no column txet; it has text, file"):
        read_all(with_paths(folder, f"t.{ending}", columns=columns), storage)


def test_a_column_of_a_preset_may_be_missing_but_not_one_that_the_recipe_names(folder: Path, storage: Storage) -> None:
    write_parquet(folder, {"TEXT": ["a"], "URL": ["u"], "file": ["0.jpg"]})
    assert read_all(preset(folder, "t.parquet", "laion", path="file"), storage)[0].numbers == {}
    assert read_all(preset(folder, "t.parquet", "laion", path="file", clip=None), storage)[0].numbers == {}
    with pytest.raises(RecipeError, match=r"no column similarity; it has TEXT, URL, file"):
        read_all(preset(folder, "t.parquet", "laion", path="file", clip="similarity"), storage)


def test_a_misspelt_column_of_coco_is_an_error_that_names_it(folder: Path, storage: Storage) -> None:
    content = {"images": [{"id": 1, "file_name": "0.jpg"}], "annotations": [{"image_id": 1, "caption": "c"}]}
    (folder / "t.json").write_text(json.dumps(content))
    table = preset(folder, "t.json", "coco", clip="score").model_copy(update={"format": "coco"})
    with pytest.raises(RecipeError, match="no column score; it has id, file_name, image_id, caption"):
        read_all(table, storage)


def test_an_unknown_ending_is_an_error_that_asks_for_the_format(folder: Path, storage: Storage) -> None:
    (folder / "t.data").write_text("text\tfile\na\t0.jpg\n")
    with pytest.raises(RecipeError, match="format"):
        read_all(with_paths(folder, "t.data"), storage)
    assert texts(read_all(with_paths(folder, "t.data", format="tsv"), storage)) == ["a"]


def preset(folder: Path, file: str, name: Any, **columns: Any) -> Table:
    return Table(
        paths=(str(folder / file),), preset=name, columns=Columns(**columns), image_folder=str(folder / "images")
    )


def test_cc3m_is_caption_then_url_without_a_header(folder: Path, storage: Storage) -> None:
    (folder / "t.tsv").write_text("a very typical bus station\thttp://a/b.jpg\t0.jpg\nsecond\thttp://c\t1.jpg\nx\ty\n")
    rows = read_all(preset(folder, "t.tsv", "cc3m", path=2), storage)
    assert [(r.caption.decode(), r.url, r.image, r.fault) for r in rows] == [
        ("a very typical bus station", "http://a/b.jpg", jpeg(0), None),
        ("second", "http://c", jpeg(1), None),
        ("", "", None, "unreadable:bad_line"),
    ]


def test_cc12m_is_url_then_caption(folder: Path, storage: Storage) -> None:
    (folder / "t.tsv").write_text("http://a/b.jpg\t<PERSON> at a bus station\t0.jpg\n")
    rows = read_all(preset(folder, "t.tsv", "cc12m", path=2), storage)
    assert [(r.caption.decode(), r.url) for r in rows] == [("<PERSON> at a bus station", "http://a/b.jpg")]


def test_a_header_above_positions_can_be_skipped(folder: Path, storage: Storage) -> None:
    (folder / "t.tsv").write_text("caption\turl\tfile\na\tu\t0.jpg\n")
    table = preset(folder, "t.tsv", "cc3m", path=2).model_copy(update={"header": True})
    assert texts(read_all(table, storage)) == ["a"]


def test_sbu_is_one_object_of_parallel_lists(folder: Path, storage: Storage) -> None:
    content = {
        "image_urls": ["u0", "u1"],
        "user_ids": ["a", "b"],
        "captions": ["c0", "c1"],
        "files": ["0.jpg", "1.jpg"],
    }
    (folder / "t.json").write_text(json.dumps(content))
    table = preset(folder, "t.json", "sbu", path="files").model_copy(update={"format": "sbu"})
    assert [(r.caption, r.url, r.image) for r in read_all(table, storage)] == [
        (b"c0", "u0", jpeg(0)),
        (b"c1", "u1", jpeg(1)),
    ]


def test_coco_captions_join_their_images(folder: Path, storage: Storage) -> None:
    images = [
        {"id": 9, "file_name": "0.jpg", "width": 40, "height": 30, "coco_url": "u9"},
        {"id": 5, "file_name": "1.jpg", "width": 40, "height": 30, "coco_url": "u5"},
    ]
    annotations = [{"id": i, "image_id": [5, 9, 5, 77][i], "caption": f"c{i}"} for i in range(4)]
    (folder / "t.json").write_text(json.dumps({"info": {}, "images": images, "annotations": annotations}))
    table = preset(folder, "t.json", "coco").model_copy(update={"format": "coco"})
    assert [(r.caption, r.url, r.image, r.fault) for r in read_all(table, storage)] == [
        (b"c0", "u5", jpeg(1), None),
        (b"c1", "u9", jpeg(0), None),
        (b"c2", "u5", jpeg(1), None),
        (b"", "", None, "unreadable:no_image"),
    ]


@pytest.mark.parametrize("format", ["sbu", "coco"])
@pytest.mark.parametrize("content", ["", "{", "null", "{}", '{"captions": ["a"], "image_urls": [], "images": []}'])
def test_json_of_another_shape_is_a_damaged_table(folder: Path, storage: Storage, format: Any, content: str) -> None:
    (folder / "t.json").write_text(content)
    table = preset(folder, "t.json", format, path="file_name").model_copy(update={"format": format})
    assert [row.fault for row in read_all(table, storage)] == ["unreadable:damaged_table"]


LAION = {"URL": ["u"], "similarity": [0.31], "punsafe": [0.01], "pwatermark": [0.2], "hash": [5]}
COYO = {
    **{"id": [4], "url": ["u"], "width": [40], "height": [30], "image_phash": ["f"], "text_length": [3]},
    **{"clip_similarity_vitb32": [0.29], "clip_similarity_vitl14": [0.25], "nsfw_score_opennsfw2": [0.1]},
    **{"nsfw_score_gantman": [0.9], "watermark_score": [0.3], "aesthetic_score_laion_v2": [5.5], "num_faces": [0]},
}


@pytest.mark.parametrize(
    ("name", "columns", "caption", "numbers"),
    [
        ("laion", {**LAION, "TEXT": ["alt"]}, b"alt", {"clip": 0.31, "nsfw": 0.01, "watermark": 0.2}),
        (
            "laion_coco",
            {**LAION, "TEXT": ["alt"], "top_caption": ["synthetic"], "all_captions": [["x"]]},
            b"synthetic",
            {"clip": 0.31, "nsfw": 0.01, "watermark": 0.2},
        ),
        ("coyo", {**COYO, "text": ["t"]}, b"t", {"clip": 0.29, "nsfw": 0.1, "watermark": 0.3, "aesthetic": 5.5}),
        (
            "datacomp",
            {"uid": ["ab"], "url": ["u"], "text": ["t"], "clip_l14_similarity_score": [0.2]},
            b"t",
            {"clip": 0.2},
        ),
    ],
)
def test_presets_match_the_published_columns(
    folder: Path, storage: Storage, name: str, columns: dict[str, Any], caption: bytes, numbers: dict[str, float]
) -> None:
    write_parquet(folder, {**columns, "file": ["0.jpg"]})
    rows = read_all(preset(folder, "t.parquet", name, path="file"), storage)
    assert [(r.caption, r.url, r.numbers) for r in rows] == [(caption, "u", numbers)]


def test_a_preset_is_overridden_column_by_column(folder: Path, storage: Storage) -> None:
    write_parquet(folder, {**COYO, "text": ["t"], "file": ["0.jpg"]})
    table = preset(folder, "t.parquet", "coyo", path="file", clip="clip_similarity_vitl14", nsfw=None)
    assert read_all(table, storage)[0].numbers == {"clip": 0.25, "watermark": 0.3, "aesthetic": 5.5}
