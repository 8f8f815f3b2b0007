"""Files of an output that somebody changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adversary.mutations import DROPPED, REPEATED, changed, paths

VALUES: tuple[Any, ...] = (None, -1, 2**63, 1e308, "", "../../x", "a" * 2_000, [], [[]], {}, {"a": 1}, [None])
CONTENTS = (
    b"",
    b"{",
    b"[]",
    b"3",
    b'"x"',
    b"null",
    b"{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"rows": ' + b"9" * 5_000 + b"}",
)


def files_of(out: Path) -> dict[str, list[Path]]:
    """The JSON and Parquet files of an output, by kind of content."""
    manifests = out / "manifests"
    return {
        "dataset": [out / "shards" / "dataset.json"],
        "recipe": [out / "recipe.json"],
        "manifests": sorted(path for path in manifests.rglob("*.json")),
        "ledger": sorted((out / "ledger").glob("*.parquet")),
        "index": sorted((out / "shards").glob("*.parquet")),
    }


def hostile(table: pa.Table) -> dict[str, bytes]:
    """Parquet files in place of a table: cut, empty, of other columns, with impossible numbers."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    whole = sink.getvalue().to_pybytes()
    numbers = [field.name for field in table.schema if pa.types.is_integer(field.type)]
    made = {
        "other": pa.table({"x": [1]}),
        "no rows": table.slice(0, 0),
        "texts": pa.table(
            {name: [str(value)[:50] for value in table[name].to_pylist()] for name in table.column_names}
        ),
        "nulls": pa.table({f.name: pa.nulls(len(table), f.type) for f in table.schema}),
    }
    for value in (-1, 2**31 - 1):
        columns = {
            name: pa.array([value] * len(table)).cast(table[name].type, safe=False) if name in numbers else table[name]
            for name in table.column_names
        }
        made[f"numbers {value}"] = pa.table(columns)
    if "image_sizes" in table.column_names:
        kind = table["image_sizes"].type
        for name, value in (("negative", -5), ("huge", 2**40)):
            wrong = pa.array([[value]] * len(table)).cast(kind)
            made[name] = table.set_column(table.column_names.index("image_sizes"), "image_sizes", wrong)
    found = {"empty": b"", "cut": whole[: len(whole) // 2], "not parquet": b"PAR1" + bytes(100) + b"PAR1"}
    for name, content in made.items():
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink)
        found[name] = sink.getvalue().to_pybytes()
    return found


def with_changed_values(files: list[Path], examples: int, look: Callable[[], object]) -> None:
    """Call ``look`` that many times, each time with another value changed in one of these JSON files."""
    originals = [(path, json.loads(path.read_bytes())) for path in files]

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path, content = data.draw(st.sampled_from(originals))
        at = data.draw(st.sampled_from(paths(content)))
        value = data.draw(st.sampled_from((DROPPED, REPEATED, *VALUES)))
        path.write_text(json.dumps(changed(content, at, value)))
        try:
            look()
        finally:
            path.write_text(json.dumps(content))

    check()
