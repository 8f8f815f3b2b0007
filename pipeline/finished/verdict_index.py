"""Numbers for verdicts and for combinations of labels, handed out while units are read in several threads."""

import threading
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.filters import FILTER_NAMES

UNSCORED = "unscored"  # rows that a change lets pass and that stage score never looked at: neither kept nor dropped


def _known_at_first(filters: tuple[str, ...] = FILTER_NAMES) -> dict[str, int]:
    return {KEEP: 0, **{name: code for code, name in enumerate(filters, 1)}}


@dataclass
class VerdictIndex:
    """A code for each verdict: 0 for keep, 1 and on for the filters in their order, then others as they are met."""

    known: dict[str, int] = field(default_factory=_known_at_first)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, filters: tuple[str, ...]) -> "VerdictIndex":
        """The index of a recipe whose filters have these names."""
        return cls(_known_at_first(filters))

    def code(self, verdict: str) -> int:
        with self.lock:
            return self.known.setdefault(verdict, len(self.known))

    def codes(self, column: pa.DictionaryArray) -> np.ndarray:
        """The codes (uint16) of a dictionary column without nulls."""
        table = np.array([self.code(verdict) for verdict in column.dictionary.to_pylist()], np.uint16)
        result: np.ndarray = table[column.indices.to_numpy()]
        return result

    def name(self, code: int) -> str:
        return list(self.known)[code]


@dataclass
class CellIndex:
    """A number for each combination of labels (``dimensions``, such as source and language), and for each source."""

    dimensions: tuple[str, ...]
    known: dict[tuple[str, ...], int] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def source_numbers(self, name: str, rows: int) -> np.ndarray:
        """The number of a source (int32), once for each of ``rows`` rows."""
        with self.lock:
            number = self.sources.setdefault(name, len(self.sources))
        return np.full(rows, number, np.int32)

    def cell_numbers(self, table: pa.Table, source: str) -> np.ndarray:
        """The cell (int32) of each row of a unit.

        Rows are coded as digits of a number whose base changes from digit to digit. Example: of the languages (en, zh) and
        the formats (jpeg, png, gif) a row with zh and gif has the code 1 * 3 + 2 = 5, and ``combinations[5]`` is (zh, gif).
        """
        codes = np.zeros(len(table), np.int32)
        combinations: list[tuple[str, ...]] = [()]
        for name in self.dimensions:
            values, labels = (np.zeros(len(table), np.int32), [source]) if name == "source" else _labels(table[name])
            codes = codes * len(labels) + values
            combinations = [(*before, label) for before in combinations for label in labels]
        present = np.flatnonzero(np.bincount(codes, minlength=len(combinations)))
        numbers = np.zeros(len(combinations), np.int32)
        with self.lock:
            numbers[present] = [self.known.setdefault(combinations[i], len(self.known)) for i in present.tolist()]
        result: np.ndarray = numbers[codes]
        return result


def _labels(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """The label number of each row, and the labels; the last one, ``unknown``, means null."""
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.cast(pa.string()).dictionary_encode()
    labels = [str(label) for label in array.dictionary.to_pylist()]
    return array.indices.fill_null(len(labels)).to_numpy().astype(np.int32), [*labels, "unknown"]
