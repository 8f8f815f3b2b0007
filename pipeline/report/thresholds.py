"""The thresholds of each filter: bounds of a number, or a set of allowed values.

They are derived from the filters themselves, so that a new filter needs nothing here: fields ``minimum*`` and
``maximum*`` are bounds, ``allowed`` is a set, and the column is the one that the filter reads. Only derived columns and
axes are named below.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from qvl.pipeline.base.json_values import json_values
from qvl.pipeline.curate.measuring.columns import COLUMNS
from qvl.pipeline.filters import RULES
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.filters.column import ColumnFilter, text_of
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.axes import SIGNED, edge_at, span_axis, usual_axis, with_cuts

Bounds = tuple[float | None, float | None]
Span = tuple[float, float]
Closed = Literal["left", "right"]

VALUES_COUNTED = 64
OTHER_VALUES = "other values"
NO_SET = (None, None, None, None)


@dataclass(frozen=True)
class Derived:
    """A value that a filter computes from two columns, with its label."""

    label: str
    compute: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _ratio(width: np.ndarray, height: np.ndarray) -> np.ndarray:
    shorter = np.minimum(width, height)
    return np.maximum(width, height) / np.where(shorter > 0, shorter, np.nan)


DERIVED = {
    "image_size": Derived("shorter side, pixels", np.minimum),
    "image_pixels": Derived("pixels (width x height)", np.multiply),
    "aspect_ratio": Derived("longer side / shorter side", _ratio),
}
LABELS = {
    "image_bytes": "size of the image file, bytes",
    "characters": "characters in the cleaned caption",
    "words": "words in the cleaned caption",
    "emoji": "emoji in the caption",
    "markers": "training markers in the caption",
    "special_tags": "special tags in the caption",
    "other": "share of letters that are neither Latin nor Han",
    "clip": "CLIP score",
    "nsfw": "probability of unsafe content",
    "watermark": "probability of a watermark",
    "aesthetic": "aesthetic score",
    "language_probability": "probability of the language",
}


@dataclass(frozen=True)
class JudgedColumns:
    """The columns that filters judge: their types, and the smallest and the largest number of those that hold numbers."""

    schema: pa.Schema = COLUMNS
    spans: dict[str, Span] = field(default_factory=dict)

    def kind(self, column: str) -> pa.DataType:
        """The type of a column; that of a score where the column is not known."""
        return self.schema.field(column).type if column in self.schema.names else pa.float32()

    def axis(self, column: str, integer: bool) -> np.ndarray:
        """Edges over the numbers of a column, before thresholds are inserted."""
        low, high = self.spans.get(column, (0.0, 1.0))
        if column in SIGNED or (integer and low >= 0):
            return usual_axis(column, column, integer)
        return span_axis(low, high, integer)


COLUMNS_OF_SCAN = JudgedColumns()


@dataclass(frozen=True)
class NumberThreshold:
    """Bounds of a measured number by source, and the bins of its histogram.

    Bin i holds the values between ``edges[i - 1]`` and ``edges[i]``; the first and the last bin are open. ``closed`` is
    the end that belongs to a bin, so that every bound, which is itself an edge, lies exactly between two bins. A bin of
    integers starts at its lower edge. ``single``: the column is float32. ``allowed`` limits the rows to those whose value
    of ``reads[0]`` is in the set.
    """

    bit: int
    reason: str
    label: str
    reads: tuple[str, ...]
    integer: bool
    single: bool
    closed: Closed
    bounds: dict[str, Bounds]
    edges: np.ndarray
    allowed: dict[str, tuple[str, ...]] | None = None

    @property
    def judged(self) -> frozenset[str]:
        """The sources that have this filter."""
        return frozenset(self.bounds)

    @property
    def salt(self) -> np.uint64:
        """Makes filters that cannot tell most rows apart show different ones."""
        return salt(self.reason)

    def limits(self, source: str) -> Bounds:
        """The bounds of a source as the filter compares them: in the precision of the column."""
        low, high = (
            float(np.float32(limit)) if self.single and limit is not None else limit
            for limit in self.bounds.get(source, (None, None))
        )
        return low, high

    def values(self, table: pa.Table) -> np.ndarray:
        """The column as float64, NaN where nothing was measured."""
        if self.reason in DERIVED:
            return DERIVED[self.reason].compute(*(floats(table[name]) for name in self.reads))
        return floats(table[self.reads[-1]])


@dataclass(frozen=True)
class SetThreshold:
    """The values of a column that pass, by source. A boolean column has the values yes and no.

    ``judges`` are the filters of the sources where they judge values by more than a set.
    """

    bit: int
    reason: str
    column: str
    allowed: dict[str, tuple[str, ...]]
    judges: tuple[ColumnFilter, ...] = ()

    @property
    def judged(self) -> frozenset[str]:
        """The sources that have this filter."""
        return frozenset(self.allowed)

    @property
    def salt(self) -> np.uint64:
        """Makes filters that cannot tell most rows apart show different ones."""
        return salt(self.reason)

    def values(self, table: pa.Table) -> pa.DictionaryArray:
        """The column as a dictionary of strings with int32 codes, null where nothing was measured."""
        column = table[self.column].combine_chunks()
        if pa.types.is_boolean(column.type):
            column = pc.if_else(column, "yes", "no")
        plain = column if pa.types.is_dictionary(column.type) else as_text(column).dictionary_encode()
        plain = plain.cast(pa.dictionary(pa.int32(), pa.string()))
        return frequent(plain) if self.judges else plain

    def passing(self, values: list[str]) -> set[str]:
        """Those of the values that pass in some source."""
        if not self.judges:
            return {value for allowed in self.allowed.values() for value in allowed}
        found = [judge.passing(values) for judge in self.judges]
        return {value for number, value in enumerate(values) if value and any(each[number] for each in found)}


Threshold = NumberThreshold | SetThreshold


def as_text(column: pa.Array) -> pa.Array:
    """Values of any type as text, null where null."""
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        values = json_values(column)
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return column.cast(pa.string())


def frequent(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The column with its most frequent values; all others, of which there may be as many as rows, are one value."""
    if len(column.dictionary) <= VALUES_COUNTED:
        return column
    counts = np.bincount(column.indices.drop_null().to_numpy(), minlength=len(column.dictionary))
    order = np.argsort(-counts, kind="stable")[:VALUES_COUNTED]
    place = np.full(len(column.dictionary), VALUES_COUNTED, np.int32)
    place[order] = np.arange(VALUES_COUNTED, dtype=np.int32)
    indices = pa.array(place).take(column.indices)
    names = pa.concat_arrays([column.dictionary.take(pa.array(order)), pa.array([OTHER_VALUES])])
    return pa.DictionaryArray.from_arrays(indices, names)


def salt(reason: str) -> np.uint64:
    """A fixed uint64 for each reason."""
    return np.uint64(xxhash.xxh3_64_intdigest(reason.encode()))


def floats(column: pa.ChunkedArray) -> np.ndarray:
    """A numeric column as float64, NaN where null."""
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False), np.float64)


def purpose(chosen: Filter) -> str:
    """What a filter is for: the first line of its module's docstring; a filter over a column names the column."""
    if isinstance(chosen, ColumnFilter):
        return f"Keep only rows whose column {chosen.column} is as the recipe says."
    return (sys.modules[type(chosen).__module__].__doc__ or "").strip().splitlines()[0].replace("``", "")


def chosen_filters(recipe: Recipe) -> dict[str, dict[str, Filter]]:
    """Active filters by reason and source, in the order in which they judge."""
    by_reason: dict[str, dict[str, Filter]] = {reason: {} for reason in recipe.filter_names}
    for source in recipe.sources:
        for _, reason, chosen in recipe.filters_of(source.name).active():
            by_reason[reason][source.name] = chosen
    return {reason: chosen for reason, chosen in by_reason.items() if chosen}


def thresholds(recipe: Recipe, judged: JudgedColumns = COLUMNS_OF_SCAN) -> list[Threshold]:
    """One per active filter that can be set; two for a filter with both a set and a bound that can drop a row."""
    found: list[Threshold] = []
    for reason, chosen in chosen_filters(recipe).items():
        if reason in RULES:
            continue
        bit = recipe.filter_names.index(reason)
        own = {source: each for source, each in chosen.items() if isinstance(each, ColumnFilter)}
        found += _over_column(bit, reason, own, judged) if own else _thresholds(bit, reason, chosen)
    return found


def _over_column(bit: int, reason: str, chosen: dict[str, ColumnFilter], judged: JudgedColumns) -> Iterator[Threshold]:
    """Bounds of a column as a number; its values where a set or a pattern is to be met, or nothing but a value."""
    bounds = {source: _bounds(each) for source, each in chosen.items()}
    limits = [(limit, side) for pair in bounds.values() for side, limit in enumerate(pair) if limit is not None]
    judges = tuple(dict.fromkeys(chosen.values()))
    if not limits or any(
        (each.allowed, each.forbidden, each.pattern, each.forbidden_pattern) != NO_SET for each in judges
    ):
        allowed = {source: tuple(map(text_of, each.allowed or ())) for source, each in chosen.items()}
        yield SetThreshold(bit, reason, reason, allowed, judges)
    if limits:
        kind = judged.kind(reason)
        integer = bool(pa.types.is_integer(kind))
        closed: Closed = "left" if integer or any(low is not None for low, _ in bounds.values()) else "right"
        label = LABELS.get(reason, reason.replace("_", " "))
        edges = with_cuts(judged.axis(reason, integer), sorted({edge_at(*limit, integer, kind) for limit in limits}))
        yield NumberThreshold(bit, reason, label, (reason,), integer, kind == pa.float32(), closed, bounds, edges)


def _thresholds(bit: int, reason: str, chosen: dict[str, Filter]) -> Iterator[Threshold]:
    reads = next(iter(chosen.values())).judged_columns
    bounds = {source: _bounds(each) for source, each in chosen.items()}
    allowed = {source: tuple(getattr(each, "allowed", ())) for source, each in chosen.items()}
    if any(allowed.values()):
        yield SetThreshold(bit, reason, reads[0], allowed)
    elif COLUMNS.field(reads[0]).type == pa.bool_():
        yield SetThreshold(bit, reason, reads[0], dict.fromkeys(chosen, ("no",)))
    limits = [limit for pair in bounds.values() for limit in pair if limit is not None]
    if any(limits) or (limits and not any(allowed.values())):
        yield _number(bit, reason, reads, bounds, allowed if any(allowed.values()) else None)


def _bounds(chosen: Filter) -> Bounds:
    found: dict[str, float | None] = {"minimum": None, "maximum": None}
    for name in type(chosen).model_fields:
        for side in found:
            if name == side or name.startswith(f"{side}_"):
                found[side] = getattr(chosen, name)
    return found["minimum"], found["maximum"]


def _number(
    bit: int, reason: str, reads: tuple[str, ...], bounds: dict[str, Bounds], allowed: dict[str, tuple[str, ...]] | None
) -> NumberThreshold:
    column = reads[-1]
    integer = reason != "aspect_ratio" and pa.types.is_integer(COLUMNS.field(column).type)
    closed: Closed = "left" if integer or any(low is not None for low, _ in bounds.values()) else "right"
    label = DERIVED[reason].label if reason in DERIVED else LABELS.get(column, column.replace("_", " "))
    kind = COLUMNS.field(column).type
    limits = [(limit, side) for pair in bounds.values() for side, limit in enumerate(pair) if limit is not None]
    edges = with_cuts(
        usual_axis(reason, column, integer), sorted({edge_at(limit, side, integer, kind) for limit, side in limits})
    )
    single = kind == pa.float32()
    return NumberThreshold(bit, reason, label, reads, integer, single, closed, bounds, edges, allowed)
