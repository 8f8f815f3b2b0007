"""Parquet as Hugging Face and others write it: image structs, nested columns, base64; and formats by ending."""

import base64
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.base import ImageReference
from qvl.pipeline.sources.columns import Columns
from qvl.pipeline.sources.table import Table
from qvl.pipeline.sources.table_files import format_of
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import jpeg, read_all

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "im").mkdir()
    for i in range(6):
        (tmp_path / "im" / f"{i}.jpg").write_bytes(jpeg(i))
    return tmp_path


def hugging_face(folder: Path, with_bytes: tuple[int, ...]) -> Path:
    """Six rows, of which some have bytes and a path, the others only a path."""
    cells = [{"bytes": jpeg(i) if i in with_bytes else None, "path": f"{i}.jpg"} for i in range(6)]
    captions = [{"en": f"caption {i}"} for i in range(6)]
    pq.write_table(
        pa.table({"image": pa.array(cells, IMAGE), "text": [f"text {i}" for i in range(6)], "all": captions}),
        folder / "t.parquet",
    )
    return folder / "t.parquet"


def read_twice(table: Table, storage: Storage) -> list[bytes | None]:
    """The images of a first reading, after a second one by reference has given the same bytes."""
    rows = read_all(table, storage)
    first = [bytes(row.image) if row.image is not None else None for row in rows]
    (unit,) = table.units(storage)
    wanted = [ImageReference(i, i, len(image)) for i, image in enumerate(first) if image is not None]
    again = dict(table.images(unit, wanted, storage))
    assert {row: bytes(image) for row, image in again.items()} == {w.row: first[w.row] for w in wanted}
    return first


@pytest.mark.parametrize("with_bytes", [(), (0, 2, 4), (0, 1, 2, 3, 4, 5)])
@pytest.mark.parametrize("columns", [{"path": "image"}, {"path": "image.path"}, {"image": "image"}])
def test_hugging_face_images_are_read_from_their_bytes_or_else_from_their_file(
    folder: Path, storage: Storage, with_bytes: tuple[int, ...], columns: dict[str, Any]
) -> None:
    path = hugging_face(folder, with_bytes)
    table = Table(paths=(str(path),), image_folder=str(folder / "im"), columns=Columns(caption="text", **columns))
    assert read_twice(table, storage) == [jpeg(i) for i in range(6)]


def test_hugging_face_images_without_a_folder_are_read_from_their_bytes_alone(folder: Path, storage: Storage) -> None:
    path = hugging_face(folder, (1,))
    table = Table(paths=(str(path),), columns=Columns(caption="text", image="image"))
    assert read_twice(table, storage) == [None, jpeg(1), None, None, None, None]


def test_a_nested_caption_is_named_with_a_dot(folder: Path, storage: Storage) -> None:
    path = hugging_face(folder, (0, 1, 2, 3, 4, 5))
    table = Table(paths=(str(path),), columns=Columns(caption="all.en", image="image"))
    assert [row.caption for row in read_all(table, storage)] == [b"caption %d" % i for i in range(6)]
    wrong = Table(paths=(str(path),), columns=Columns(caption="every.en", image="image"))
    with pytest.raises(RecipeError, match=r"no column every\.en"):
        read_all(wrong, storage)


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "tsv", "csv"])
def test_base64_images_are_read_in_every_format(tmp_path: Path, storage: Storage, kind: str) -> None:
    texts = [base64.b64encode(jpeg(i)).decode() for i in range(3)]
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"image": texts, "text": ["a", "b", "c"]}), path)
    elif kind == "jsonl":
        path.write_text("".join(f'{{"image": "{text}", "text": "a"}}\n' for text in texts))
    else:
        delimiter = "\t" if kind == "tsv" else ","
        path.write_text(f"image{delimiter}text\n" + "".join(f"{text}{delimiter}a\n" for text in texts))
    table = Table(paths=(str(path),), columns=Columns(caption="text", image="image"))
    assert read_twice(table, storage) == [jpeg(i) for i in range(3)]


def test_an_absolute_path_inside_the_image_folder_is_read_and_one_outside_is_not(
    folder: Path, storage: Storage
) -> None:
    (folder / "secret.jpg").write_bytes(b"secret")
    names = [str(folder / "im" / "0.jpg"), str(folder / "secret.jpg")]
    (folder / "t.csv").write_text("file,text\n" + "".join(f"{name},a\n" for name in names))
    table = Table(
        paths=(str(folder / "t.csv"),), image_folder=str(folder / "im"), columns=Columns(caption="text", path="file")
    )
    rows = read_all(table, storage)
    assert [(row.image, row.fault) for row in rows] == [(jpeg(0), None), (None, "unreadable:bad_path")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.CSV", "csv"), ("a.tsv.gz", "tsv"), ("a.jsonl.gz", "jsonl"), ("x/a.json", "json"), ("a.parquet", "parquet")],
)
def test_format_of_a_file_follows_its_ending(name: str, kind: str) -> None:
    assert format_of(name, None) == kind
    assert format_of(name, "sbu") == "sbu"
    with pytest.raises(RecipeError, match="set `format:`"):
        format_of("a.xyz", None)


def test_a_list_of_columns_is_answered_in_plain_words() -> None:
    with pytest.raises(ValueError, match="name one column, by its name or its position"):
        Columns.model_validate({"caption": ["alt", "recaption"]})
