"""Values of any type as captions and numbers, and batches of bounded size."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from qvl.pipeline.sources import base
from qvl.pipeline.sources.base import (
    ROWS_PER_BATCH,
    TEXT_PER_BATCH,
    ImageReference,
    Row,
    Unit,
    batches,
    caption_of,
    number,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, 0.5), (3, 3.0), ("0.25", 0.25), (b"7", 7.0), (Decimal("0.1"), 0.1), (-0.0, 0.0)],
)
def test_a_number_of_any_type_is_a_float(value: Any, expected: float) -> None:
    assert number(value) == expected


@pytest.mark.parametrize("value", [None, True, "x", "", b"\xff", [1], {}, "nan", float("inf"), 10**400, "-inf"])
def test_a_value_that_is_not_a_finite_number_is_none(value: Any) -> None:
    assert number(value) is None


@pytest.mark.parametrize(
    ("value", "expected"), [("é", b"\xc3\xa9"), (None, b""), (b"\xff", b"\xff"), (5, None), (["a"], None)]
)
def test_a_caption_is_bytes_and_other_values_are_none(value: Any, expected: bytes | None) -> None:
    assert caption_of(value) == expected


def test_batches_are_bounded_in_rows_and_in_bytes_of_captions() -> None:
    rows = [Row(str(i)) for i in range(ROWS_PER_BATCH + 1)]
    assert [len(batch) for batch in batches(iter(rows))] == [ROWS_PER_BATCH, 1]
    long = [Row(str(i), caption=bytes(TEXT_PER_BATCH // 2)) for i in range(3)]
    assert [len(batch) for batch in batches(iter(long))] == [2, 1]
    assert list(batches(iter([]))) == []


def test_a_units_id_depends_on_its_name_and_not_on_its_path() -> None:
    here, there = (Unit("web", "a/0.tar", path) for path in ("/x/a/0.tar", "s3://y/a/0.tar"))
    assert here.id == there.id
    assert here.id != Unit("web", "a/1.tar", "/x/a/1.tar").id
    assert here.id.startswith("web-")


def test_batches_are_bounded_in_bytes_of_images_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "IMAGES_PER_BATCH", 100)
    owned = [Row(str(i), image=bytes(60)) for i in range(5)]
    assert [len(batch) for batch in batches(iter(owned))] == [2, 2, 1]
    views = [Row(str(i), image=memoryview(bytes(60))) for i in range(5)]
    assert [len(batch) for batch in batches(iter(views))] == [5]


def test_image_references_from_columns_keep_the_order_of_the_table() -> None:
    table = pa.table({"image_bytes": [10, 20], "caption": ["a", "b"], "row": [7, 3], "locator": [512, 0]})
    assert ImageReference.from_columns(table) == [ImageReference(7, 512, 10), ImageReference(3, 0, 20)]
    assert ImageReference.from_columns(table.slice(0, 0)) == []
