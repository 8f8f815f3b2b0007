"""Columns that the folders of a file give, in every format of tables."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.partitions import partition_of
from qvl.pipeline.sources.table import Table
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import jpeg


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("data/lang=en/part-0.parquet", {"lang": "en"}),
        ("s3://b/lang=en/year=2024/a.csv", {"lang": "en", "year": "2024"}),
        ("lang=en/lang=zh/a.csv", {"lang": "zh"}),
        ("lang=a%2Fb%20c/a.csv", {"lang": "a/b c"}),
        ("lang=__HIVE_DEFAULT_PARTITION__/a.csv", {"lang": None}),
        ("other=1/a.csv", {}),
        ("data/lang=en", {}),  # the file itself
        ("lang/a.csv", {}),
    ],
)
def test_partition_of_a_path_has_the_columns_that_the_recipe_names(path: str, found: dict[str, str | None]) -> None:
    assert partition_of(path, {"lang", "year"}) == found


def table(folder: Path, ending: str, **columns: Any) -> Table:
    """Two files of one row each in ``lang=en`` and ``lang=zh``."""
    for number, language in enumerate(("en", "zh")):
        path = folder / f"lang={language}" / f"part-0.{ending}"
        path.parent.mkdir(parents=True)
        row = {"text": f"caption {number}", "file": f"{number}.jpg"}
        if ending == "parquet":
            pq.write_table(pa.Table.from_pylist([{**row, "image": jpeg(number)}]), path)
        elif ending == "csv":
            path.write_text(f"text,file\n{row['text']},{row['file']}\n")
        else:
            path.write_bytes(gzip.compress(json.dumps(row).encode()))
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    image = {"image": "image"} if ending == "parquet" else {"path": "file"}
    paths = (f"{folder}/lang=*/*.{ending}",)
    return Table(paths=paths, columns={"caption": "text", **image, **columns}, image_folder=str(folder))


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl.gz"])
def test_a_column_of_the_folders_when_carried_is_in_each_row(tmp_path: Path, ending: str) -> None:
    source, storage = table(tmp_path, ending, extra={"lang": "lang"}), Storage()
    found = []
    for unit in source.units(storage):
        assert source.carried(unit, storage) == pa.schema([("lang", pa.string())])
        rows = [row for batch in source.read(unit, storage) for row in batch]
        found += [(row.caption, row.fault, str(row.carried[0])) for row in rows]
    assert found == [(b"caption 0", None, "en"), (b"caption 1", None, "zh")]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl.gz"])
def test_a_column_of_the_folders_when_it_is_the_key_is_read(tmp_path: Path, ending: str) -> None:
    source, storage = table(tmp_path, ending, key="lang"), Storage()
    keys = [row.key for unit in source.units(storage) for batch in source.read(unit, storage) for row in batch]
    assert keys == ["en", "zh"]


def test_a_column_of_the_file_when_the_folder_has_it_too_takes_precedence(tmp_path: Path) -> None:
    source, storage = table(tmp_path, "parquet", key="lang"), Storage()
    path = tmp_path / "lang=en" / "part-0.parquet"
    pq.write_table(pq.read_table(path).append_column("lang", [["fr"]]), path)
    first = next(iter(source.units(storage)))
    assert [row.key for batch in source.read(first, storage) for row in batch] == ["fr"]


def test_the_columns_of_folders_when_used_are_part_of_what_a_unit_depends_on(tmp_path: Path) -> None:
    source, storage = table(tmp_path, "parquet", extra={"lang": "lang"}), Storage()
    found = [source.side_inputs(unit, storage) for unit in source.units(storage)]
    assert found == [[{"partition": {"lang": "en"}}], [{"partition": {"lang": "zh"}}]]
    plain = Table(paths=source.paths, columns={"caption": "text", "image": "image"})
    assert [plain.side_inputs(unit, storage) for unit in plain.units(storage)] == [[], []]


def test_a_column_that_neither_file_nor_folder_has_when_read_is_refused(tmp_path: Path) -> None:
    source, storage = table(tmp_path, "parquet", extra={"year": "year"}), Storage()
    with pytest.raises(RecipeError, match="no column year"):
        list(source.read(source.units(storage)[0], storage))
