"""Contract tests of plug-ins, which users run on their own: purity, types, nulls, speed, identity."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.curate.measuring.columns import COLUMNS
from qvl.pipeline.curate.measuring.measure import measure
from qvl.pipeline.curate.measuring.scan import language_model
from qvl.pipeline.plugins.apply import apply_column, decoded
from qvl.pipeline.plugins.operators import ColumnPlugin
from qvl.pipeline.recipe.anchoring import BUNDLED_LANGUAGE_MODEL
from qvl.pipeline.recipe.cleaning import Clean
from qvl.pipeline.sources.base import Row

CAPTIONS = (
    "A red dog runs through the snow.", "一只红色的狗在雪地里奔跑。", "sale!!! 50% off", "x", "12345",
    "UPPER CASE TEXT", "naïve café, déjà vu", "dog \U0001f415 and 雪", "two lines\nof text", "Фото собаки", "a" * 500,
    "click here: www.site.com",
)  # fmt: skip
URLS = ("https://images.example.org/a.jpg", "", "http://example.com", "no address", "ftp://127.0.0.1:80/x?q=1#y")
SAMPLE_ROWS = 600
SINGLE_ROWS = 64
SPEED_SECONDS = 0.5
SEED = 7


@dataclass(frozen=True, slots=True)
class Finding:
    """One test: what was tested, and what is wrong, or None."""

    what: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedPlugin:
    """The findings about one operator. ``notes`` are not mistakes, but worth knowing."""

    name: str
    fingerprint: str
    columns: dict[str, str]
    rows: int
    rows_per_second: float
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return all(finding.problem is None for finding in self.findings)


def sample_rows() -> pa.Table:
    """Rows as scan measures them: captions in several languages, short, long and odd ones, and small pictures."""
    pictures = []
    for width, height in ((64, 48), (640, 480), (30, 400)):
        target = BytesIO()
        Image.new("RGB", (width, height), (width % 256, 90, 60)).save(target, "PNG")
        pictures.append(target.getvalue())
    rows = [
        Row(f"{n:05d}", f"{CAPTIONS[n % len(CAPTIONS)]} {n // 60 or ''}".encode(), URLS[n % 5], pictures[n % 3], n)
        for n in range(SAMPLE_ROWS)
    ]
    batch = measure(rows, 0, Clean(), language_model(BUNDLED_LANGUAGE_MODEL)).rows
    return pa.Table.from_batches([batch])


def check_column(plugin: ColumnPlugin, rows: pa.Table) -> CheckedPlugin:
    """Test an operator over rows of scan, with or without columns that are carried along.

    Raises RecipeError where the rows lack a column that it reads.
    """
    missing = [name for name in plugin.reads if name not in rows.column_names]
    if missing:
        raise RecipeError(
            f"{plugin.name} reads {missing[0]}, which the rows lack; name the output of a run that carries it: --on OUT"
        )
    usable = rows.filter(pc.is_null(rows["fault"])) if "fault" in rows.column_names else rows
    table = decoded(usable.select(list(dict.fromkeys(plugin.reads)))).combine_chunks()
    try:
        whole = _run(plugin, table)
    except DataError as error:
        return _checked(plugin, table, 0.0, (Finding("types", str(error)),), ())
    tests = (
        ("types", None),
        ("the same values when it runs again", table_difference(whole, _run(plugin, table))),
        ("the same values for shuffled rows", _shuffled(plugin, table, whole)),
        ("the same values for rows in other batches", _split(plugin, table, whole)),
        ("no values for no rows", table_difference(whole.slice(0, 0), _run(plugin, table.slice(0, 0)))),
    )
    findings = tuple(Finding(what, problem) for what, problem in tests)
    return _checked(plugin, table, _speed(plugin, table), findings, tuple(_notes(plugin, table, whole)))


def _checked(
    plugin: ColumnPlugin, table: pa.Table, speed: float, findings: tuple[Finding, ...], notes: tuple[str, ...]
) -> CheckedPlugin:
    columns = {field.name: str(field.type) for field in plugin.schema}
    return CheckedPlugin(plugin.name, plugin.fingerprint, columns, len(table), speed, findings, notes)


def _run(plugin: ColumnPlugin, table: pa.Table) -> pa.Table:
    return apply_column(plugin, table, np.ones(len(table), bool)).combine_chunks()


def table_difference(expected: pa.Table, found: pa.Table) -> str | None:
    """The first column and row with another value, or None. NaN is equal to NaN."""
    for name in expected.column_names:
        one, other = expected[name].combine_chunks(), found[name].combine_chunks()
        if len(one) != len(other):
            return f"{name}: {len(other)} values instead of {len(one)}"
        texts = zip(map(repr, one.to_pylist()), map(repr, other.to_pylist()), strict=True)
        row = next((row for row, (before, after) in enumerate(texts) if before != after), None)
        if row is not None:
            return f"{name}: {other[row].as_py()!r} instead of {one[row].as_py()!r}"
    return None


def _shuffled(plugin: ColumnPlugin, table: pa.Table, whole: pa.Table) -> str | None:
    order = pa.array(np.random.default_rng(SEED).permutation(len(table)))
    return table_difference(whole.take(order), _run(plugin, table.take(order)))


def _split(plugin: ColumnPlugin, table: pa.Table, whole: pa.Table) -> str | None:
    single = min(SINGLE_ROWS, len(table))
    cuts = [*range(single + 1), *sorted({single + (len(table) - single) // 3, len(table)} - {single})]
    parts = [table.slice(first, last - first) for first, last in pairwise(cuts)]
    return table_difference(whole, pa.concat_tables([whole.slice(0, 0), *(_run(plugin, part) for part in parts)]))


def _speed(plugin: ColumnPlugin, table: pa.Table) -> float:
    """Rows per CPU second of the operator alone."""
    operator, batches = plugin.open(), table.to_batches()
    rows, start = 0, time.process_time()
    while (spent := time.process_time() - start) < SPEED_SECONDS and len(table):
        for batch in batches:
            try:
                operator.apply(batch)
            except Exception:  # noqa: BLE001 - rows that make it fail are a note
                return 0.0
        rows += len(table)
    return rows / max(spent, 1e-9)


def _notes(plugin: ColumnPlugin, table: pa.Table, whole: pa.Table) -> Iterator[str]:
    """What a user should know: rows that make the operator fail, and what it does with missing values."""
    failed = np.flatnonzero(flags(pc.is_valid(whole["fault"])))
    if len(failed):
        values = {name: table[name][int(failed[0])].as_py() for name in table.column_names}
        yield f"{len(failed)} of {len(table)} rows make it fail, such as {values!r}: {whole['fault'][int(failed[0])]}"
    for name in table.column_names:
        nullable = name not in COLUMNS.names
        at = table.schema.get_field_index(name)
        nulls = table.slice(0, 1).set_column(at, table.schema.field(at), pa.nulls(1, table.schema.field(at).type))
        fault = _run(plugin, nulls)["fault"][0].as_py()
        if fault is not None and nullable:
            yield f"a missing value of {name} makes it fail: such rows become {fault}"
