"""The base classes of plug-ins. Users import them from ``qvl``.

An operator is a pure function of a batch: the values of a row may depend on nothing but the columns of that row that the
operator reads, and on its parameters. ``qvl plugin check`` tests that.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

Values = Any
"""The values of one column: an Arrow or a NumPy array, or a list; as many as the batch has rows."""


class Operator(ABC):  # noqa: B024 - its subclasses say what they must define
    """What every plug-in has: a declared ``version``, to be raised when something outside of its source changes.

    The parameters of a recipe are the arguments of the class, so a plain dataclass declares them.
    """

    version: ClassVar[str] = "1"


class Column(Operator):
    """Computes columns of the ledger from others, before any image is decoded.

    ``reads`` names columns that scan measures (``caption``, ``url``, ``width``, ...) or that the recipe carries along.
    ``writes`` maps the names of the new columns to Arrow types, such as ``pa.float32()`` or ``"float32"``.
    """

    reads: ClassVar[Sequence[str]]
    writes: ClassVar[Mapping[str, pa.DataType | str]]

    @abstractmethod
    def apply(self, batch: pa.RecordBatch) -> Mapping[str, Values] | Values:
        """The new columns by name, or just the values where there is one. ``batch`` holds the columns in ``reads``.

        Rows that cannot be used (``fault`` in the ledger) are not in the batch; their values are null. An exception that
        only some rows cause makes these rows unreadable; one that every row causes ends the run.
        """


class Filter(Operator):
    """Decides which rows stay, by code. Its name (the class in snake_case) is the reason of the rows that it drops.

    ``reads`` is that of ``Column``. The decisions are stored as a column of this name, which the recipe may judge otherwise:
    ``filters: {columns: {my_filter: null}}`` below a source switches the filter off there.
    """

    reads: ClassVar[Sequence[str]]

    @abstractmethod
    def keep(self, batch: pa.RecordBatch) -> Values:
        """True where a row stays, one value per row. Null counts as missing, which fails unless the recipe says otherwise.

        Exceptions are handled as those of ``Column.apply``.
        """
