"""What a builder is: it splits its inputs into units and turns each unit into rows with verdicts and samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
from pydantic import JsonValue

from qvl.pipeline.curate.measuring.columns import CATEGORY
from qvl.pipeline.shards.sample import Sample

LEDGER_COLUMNS = [
    ("id", pa.string()),  # of the input row: unit and row number
    ("source", CATEGORY),
    ("verdict", CATEGORY),  # keep, or the one reason why the row was dropped
    ("samples", pa.int32()),  # number of samples that the row became
    ("row", pa.int32()),
    ("key", pa.string()),  # the input's own name for the row
]


@dataclass(frozen=True, slots=True)
class BuildUnit:
    """A piece of work. ``source`` is the part of the recipe that it belongs to, ``name`` its name there.

    ``id`` becomes part of file names: letters, digits, dashes and underscores, the same wherever the data is stored.
    ``payload`` is whatever the builder needs to read the unit.
    """

    id: str
    source: str
    name: str
    payload: Any = None


@dataclass(frozen=True, slots=True)
class BuiltRow:
    """One input row: ``keep`` with its samples, or the reason for its drop and no samples.

    ``columns`` are the values of the builder's own ledger columns; a missing one is null.
    """

    verdict: str
    key: str = ""
    samples: list[Sample] = field(default_factory=list)
    columns: Mapping[str, object] = field(default_factory=dict)


class Builder(Protocol):
    """What a dataset is built from; pickled to workers. ``columns`` are its ledger columns beyond ``LEDGER_COLUMNS``."""

    name: str
    columns: list[tuple[str, pa.DataType]]

    def units(self) -> list[BuildUnit]:
        """All units, in a fixed order. Cheap."""

    def parts(self, unit: BuildUnit) -> dict[str, JsonValue]:
        """Everything the unit's output depends on, by name: recipe parts, input identity, library versions."""

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        """Every input row of the unit exactly once, in order. Sample ids are unique in the dataset and contain no dots."""


def ledger_schema(builder: Builder) -> pa.Schema:
    """The columns that all builders share, then the builder's own."""
    return pa.schema([*LEDGER_COLUMNS, *builder.columns])
