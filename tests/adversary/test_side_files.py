"""Side files of tars, JSON that is cut into slices, and markup, with arbitrary or damaged bytes."""

import io
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qvl.grounding_builder.sources.json_slices import slices
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup.parsing import parse
from qvl.pipeline.sources.status_table import stated_count
from qvl.pipeline.sources.webdataset import WebDataset
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import tar_bytes

FAULTS = {"unreadable:status_table:damaged", "unreadable:status_table:expands_too_far"}
KEYS = ("000", "001", "002")


def status_table() -> bytes:
    """A table as img2dataset writes it, with columns that are not needed and hold values that Python lacks."""
    file = io.BytesIO()
    columns = {
        "key": pa.array(KEYS),
        "status": pa.array(["success"] * 3),
        "caption": pa.array(["a", "b", None]),
        "exif": pa.array([2**62] * 3, pa.timestamp("us", "Nowhere/Nothing")),
        "error": pa.array([b"\xff"] * 3).view(pa.string()),
    }
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


TABLE = status_table()


def verdicts(folder: Path, table: bytes, stats: bytes) -> list[str | None]:
    tar = folder / "00000.tar"
    if not tar.exists():
        members = [(f"{key}.{kind}", b"x") for key in KEYS for kind in ("jpg", "txt")]
        tar.write_bytes(tar_bytes(members))
    (folder / "00000.parquet").write_bytes(table)
    (folder / "00000_stats.json").write_bytes(stats)
    source = WebDataset(paths=(str(tar),), max_unaccounted_rows=10)
    (unit,) = source.units(Storage())
    return [row.fault for batch in source.read(unit, Storage()) for row in batch]


def test_table_when_whole_gives_the_samples_alone(tmp_path: Path) -> None:
    assert verdicts(tmp_path, TABLE, b'{"count": 3}') == [None, None, None]


@st.composite
def damaged_tables(draw: st.DrawFn) -> bytes:
    data = bytearray(TABLE)
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.just(len(data)) | st.integers(0, len(data)))
    return bytes(data[:cut])


def check_table(folder: Path, table: bytes) -> None:
    found = verdicts(folder, table, b'{"count": 3}')
    assert found[:3] == [None, None, None], "a damaged side table costs no sample of the tar"
    assert all(fault is not None for fault in found[3:])


@settings(max_examples=150)
@given(damaged_tables() | st.binary(max_size=60))
@example(b"")
@example(b"PAR1PAR1")
def test_table_when_damaged_costs_no_sample(tmp_path_factory: pytest.TempPathFactory, table: bytes) -> None:
    check_table(tmp_path_factory.getbasetemp(), table)


@pytest.mark.long
@settings(max_examples=20_000)
@given(damaged_tables())
def test_table_when_damaged_in_many_ways_costs_no_sample(
    tmp_path_factory: pytest.TempPathFactory, table: bytes
) -> None:
    check_table(tmp_path_factory.getbasetemp(), table)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["count", "x"]), inner, max_size=2),
)


@settings(max_examples=300)
@given(
    st.binary(max_size=40)
    | json_values.filter(lambda v: not isinstance(v, int) or abs(v) < 2**63).map(repr).map(str.encode)
)
@example(b'{"count": 1e400}')
@example(b'{"count": [3]}')
@example(b'{"count": "\xff"}')
@example(b"[" * 5_000)
def test_statistics_when_arbitrary_give_a_number_or_none(data: bytes) -> None:
    assert isinstance(stated_count(data), int | None)


@settings(max_examples=400)
@given(st.text(st.sampled_from('[]{}",:\\ ax01'), max_size=60), st.integers(1, 3), st.sampled_from([None, "a"]))
@example('{"a": [1, 2', 1, "a")
@example('["\\', 1, None)
@example('"a":[]', 1, "a")
def test_json_when_arbitrary_is_refused_or_cut_into_what_it_holds(text: str, count: int, key: str | None) -> None:
    data = memoryview(text.encode())
    try:
        found = [part.parse(data) for part in slices(data, count, key)]
    except DataError:
        return
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError:
        return
    if key is None and isinstance(whole, list):
        assert [each for part in found for each in part] == whole


@settings(max_examples=400)
@given(
    st.lists(
        st.sampled_from(
            ["<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", "(1,2)", ",", "(", "9" * 30, " a", "（"]
        ),
        max_size=14,
    )
)
def test_markup_when_arbitrary_is_parsed_without_an_error(parts: list[str]) -> None:
    assert isinstance(parse("".join(parts)), list)
