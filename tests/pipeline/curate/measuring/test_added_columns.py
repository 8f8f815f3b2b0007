"""Columns of a source that are carried into the ledger, the samples, traces and the app, whatever their Arrow type."""

import datetime
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.run import run
from qvl.pipeline.curate.selection.ledger import LEDGER, ledger_schema, read_ledger
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.trace import trace_row
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.source import reading
from qvl.pipeline.storage.paths import parse_path
from qvl.pipeline.view.tables.database import Database
from qvl.pipeline.view.tables.datasets import RelatedDatasets
from qvl.pipeline.view.tables.faults import Faults
from qvl.pipeline.view.tables.tables import tables_of
from tests.pipeline.samples import jpeg, write_img2dataset

ROWS = 9
DAY = datetime.date(2026, 1, 31)
VALUES: dict[str, pa.Array] = {
    "license": pa.array(["cc0", None, "cc-by"] * 3),
    "source_id": pa.array(range(ROWS), pa.uint32()),
    "text": pa.array([f"line {i}" for i in range(ROWS)]).dictionary_encode(),
    "tags": pa.array([["a", None], None, []] * 3, pa.list_(pa.string())),
    "boxes": pa.array([[[0.5, 1.0]], [None], None] * 3, pa.list_(pa.list_(pa.float32()))),
    "seen": pa.array([1_700_000_000_123_456_789, None, 5] * 3, pa.timestamp("ns")),
    "day": pa.array([DAY, None, DAY] * 3),
    "price": pa.array([Decimal("1.20"), None, Decimal("-3.00")] * 3),
    "raw": pa.array([b"\xff\x00", None, b""] * 3, pa.binary()),
    "where": pa.array([{"lat": 1.5, "names": ["x", None]}, None, {"lat": None, "names": None}] * 3),
    "pairs": pa.array([[("k", 1)], None, []] * 3, pa.map_(pa.string(), pa.int64())),
    "score": pa.array([0.25, None, float("nan")] * 3, pa.float32()),
}
EXTRA = {name: name for name in VALUES if name not in ("source_id", "text")} | {"id": "source_id", "ocr": "text"}


def write_table(path: Path, columns: dict[str, pa.Array], shift: int = 0) -> None:
    images = [jpeg(shift + i, width=64, height=48) for i in range(ROWS)]
    own = {"caption": [f"a red dog with number {shift + i}" for i in range(ROWS)], "image": images}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**own, **columns}), path)


def table_recipe(paths: str, extra: dict[str, Any], **more: Any) -> dict[str, Any]:
    columns = {"caption": "caption", "image": "image", "extra": extra}
    return {"name": "t", "read": {"kind": "table", "paths": [paths], "columns": columns}, **more}


def curate(out: Path, *sources: dict[str, Any], **more: Any) -> Path:
    recipe = Recipe.model_validate({"name": "r", "sources": sources, "dedup": {"repeated_text": None}, **more})
    with RunProgress() as progress:
        run(recipe, out, SerialPool(), progress)
    return out


def ledger_of(out: Path) -> pa.Table:
    return pa.concat_tables([table for _, table in read_ledger(out)])


def metas_of(out: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted((out / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    sample = json.loads(tar.extractfile(member).read())  # type: ignore[union-attr]
                    found[sample["id"]] = sample.get("meta", {})
    return found


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("carried")
    write_table(folder / "t.parquet", VALUES)
    yield curate(folder / "out", table_recipe(str(folder / "t.parquet"), EXTRA))


def test_parquet_columns_of_every_type_when_carried_are_equal_in_the_ledger(out: Path) -> None:
    ledger = ledger_of(out)
    assert ledger.schema.names == [*LEDGER.names, *("extra_id" if name == "id" else name for name in EXTRA)]
    for name, source in EXTRA.items():
        expected = VALUES[source].cast(pa.string()) if name == "ocr" else VALUES[source]
        found = ledger["extra_id" if name == "id" else name].combine_chunks()
        assert found.type == expected.type
        assert found.equals(expected) or (name == "score" and str(found) == str(expected))
    assert ledger_schema(out).equals(ledger.schema)


def test_samples_when_columns_are_carried_hold_them_in_meta_under_the_names_of_the_recipe(out: Path) -> None:
    metas = metas_of(out)
    assert len(metas) == ROWS
    ids = ledger_of(out)["id"].to_pylist()
    assert metas[ids[0]] == {
        "license": "cc0",
        "tags": ["a", None],
        "boxes": [[0.5, 1.0]],
        "seen": "2023-11-14 22:13:20.123456789",
        "day": "2026-01-31",
        "price": "1.20",
        "raw": "ff00",
        "where": {"lat": 1.5, "names": ["x", None]},
        "pairs": [["k", 1]],
        "score": 0.25,
        "id": 0,
        "ocr": "line 0",
    }
    nulls = dict.fromkeys(("license", "tags", "seen", "day", "price", "raw", "where", "pairs", "score"))
    assert metas[ids[1]] == {**nulls, "boxes": [None], "id": 1, "ocr": "line 1"}
    assert metas[ids[2]]["score"] is None


def test_audit_when_the_meta_of_a_sample_was_changed_names_the_sample(out: Path, tmp_path: Path) -> None:
    assert audit(parse_path(str(out))).discrepancy is None
    dataset = json.loads((out / "shards" / "dataset.json").read_text())
    dataset["lineage"]["recipe"]["sources"]["t"]["read"]["columns"]["extra"].pop("license")
    copied = tmp_path / "out"
    shutil.copytree(out, copied)
    (copied / "shards" / "dataset.json").write_text(json.dumps(dataset))
    assert "the meta of" in str(audit(parse_path(str(copied))).discrepancy)


def test_trace_when_columns_are_carried_shows_every_value_as_json(out: Path) -> None:
    found = trace_row(out, "t.parquet", 0).content()
    columns: Any = json.loads(json.dumps(found))["columns"]
    assert (columns["extra_id"], columns["raw"], columns["where"]["names"]) == (0, "ff00", ["x", None])
    assert columns["seen"] == "2023-11-14 22:13:20.123456789"


def test_app_when_columns_are_carried_shows_every_one_of_them(out: Path) -> None:
    faults = Faults()
    (rows, _) = tables_of(Layout(out), RelatedDatasets({}), faults)
    database = Database([out])
    assert database.add(rows, faults) == rows and faults.lines == []
    shown = ", ".join(
        rows.column(name).sql for name in ("tags", "boxes", "seen", "price", "where", "pairs", "extra_id")
    )
    found = database.cursor().execute(f"SELECT {shown} FROM rows LIMIT 1").fetchall()
    assert json.dumps(found)


def test_stored_recipe_when_columns_are_carried_knows_their_names(out: Path) -> None:
    assert StoredColumns.open(out).recipe.sources[0].read.columns.extra.keys() == EXTRA.keys()


def test_recipe_when_nothing_is_carried_has_the_settings_of_before() -> None:
    recipe = Recipe.model_validate({"name": "r", "sources": [table_recipe("x", {})]})
    columns: Any = reading(recipe.sources[0])["columns"]
    assert "extra" not in columns


def test_columns_of_text_formats_when_carried_are_text_unless_a_type_is_declared(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(jpeg(0, width=64, height=48))
    line = {"caption": "a red dog in the snow", "file": "0.jpg"}
    lines = [
        line | {"n": 5, "license": "cc0", "deep": {"a": [1, None]}},
        line | {"n": "7.5", "license": None},
        line | {"n": "many", "license": 3},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    extra: dict[str, Any] = {"license": "license", "deep": "deep", "number": {"column": "n", "type": "float64"}}
    columns = {"caption": "caption", "path": "file", "extra": extra}
    read = {"kind": "table", "paths": [str(tmp_path / "t.jsonl")], "image_folder": str(tmp_path), "columns": columns}
    ledger = ledger_of(curate(tmp_path / "out", {"name": "t", "read": read}))
    assert ledger["number"].to_pylist() == [5.0, 7.5, None]
    assert ledger["license"].to_pylist() == ["cc0", None, "3"]
    assert ledger["deep"].to_pylist() == ['{"a":[1,null]}', None, None]


def test_columns_of_tars_when_carried_come_from_the_json_and_from_the_table_of_failed_downloads(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"key": f"{i}", "url": f"u{i}", "caption": f"a red dog {i}", "image": jpeg(i) if i else None} for i in range(3)
    ]
    write_img2dataset(tmp_path / "web", "00000", rows)
    read = {"kind": "webdataset", "paths": [str(tmp_path / "web" / "*.tar")], "columns": {"extra": {"where": "url"}}}
    ledger = ledger_of(curate(tmp_path / "out", {"name": "web", "read": read}, tolerance={"unreadable_rows": 1}))
    assert sorted(ledger["where"].to_pylist()) == ["u0", "u1", "u2"]


def test_sources_when_only_one_carries_a_column_have_equal_ledger_schemas_with_nulls(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", {"license": VALUES["license"]})
    write_table(tmp_path / "b.parquet", {}, shift=50)
    carrying = table_recipe(
        str(tmp_path / "a.parquet"),
        {"license": "license"},
    )
    other = {**table_recipe(str(tmp_path / "b.parquet"), {}), "name": "u"}
    result = curate(tmp_path / "out", carrying, other)
    schemas = {str(table.schema) for _, table in read_ledger(result)}
    assert len(schemas) == 1
    ledger = ledger_of(result)
    assert ledger["license"].null_count == ROWS + 3
    assert sorted({len(meta) for meta in metas_of(result).values()}) == [0, 1]


def test_units_when_a_carried_column_has_two_types_are_refused_and_a_declared_type_is_the_remedy(
    tmp_path: Path,
) -> None:
    write_table(tmp_path / "d" / "a.parquet", {"n": pa.array(range(ROWS))})
    write_table(tmp_path / "d" / "b.parquet", {"n": pa.array(map(str, range(ROWS)))}, shift=50)
    write_table(tmp_path / "d" / "c.parquet", {"n": pa.nulls(ROWS)}, shift=100)
    with pytest.raises(DataError, match=r"n has type int64 in t/a.parquet and string in t/b.parquet"):
        curate(tmp_path / "out", table_recipe(str(tmp_path / "d" / "*.parquet"), {"n": "n"}))
    declared = {"n": {"column": "n", "type": "int64"}}
    ledger = ledger_of(curate(tmp_path / "other", table_recipe(str(tmp_path / "d" / "*.parquet"), declared)))
    assert Counter(ledger["n"].to_pylist()) == Counter([*range(ROWS), *range(ROWS), *[None] * ROWS])


def test_text_that_is_not_utf8_when_carried_is_escaped(tmp_path: Path) -> None:
    offsets = pa.array([0, 2, 3], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xff\xfea")])
    write_table(tmp_path / "t.parquet", {"x": pa.concat_arrays([bad, pa.nulls(ROWS - 2, pa.string())])})
    ledger = ledger_of(curate(tmp_path / "out", table_recipe(str(tmp_path / "t.parquet"), {"x": "x"})))
    assert ledger["x"].to_pylist()[:3] == ["\\xff\\xfe", "a", None]


def test_carried_column_when_the_file_has_none_is_an_error_that_names_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", {})
    with pytest.raises(RecipeError, match=r"no column licence; it has caption, image"):
        curate(tmp_path / "out", table_recipe(str(tmp_path / "t.parquet"), {"license": "licence"}))


def test_two_carried_names_when_they_are_one_column_of_the_ledger_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", {"x": pa.nulls(ROWS)})
    with pytest.raises(RecipeError, match="License and license"):
        curate(tmp_path / "out", table_recipe(str(tmp_path / "t.parquet"), {"License": "x", "license": "x"}))
