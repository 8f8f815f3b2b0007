"""A builder of numbers, small enough to check every row by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord


@dataclass
class Numbers:
    """Units of ten numbers; odd ones are dropped, every fourth becomes two samples."""

    name: str = "numbers"
    count: int = 4
    salt: str = ""
    columns: list[tuple[str, pa.DataType]] = field(default_factory=lambda: [("value", pa.int64())])

    def units(self) -> list[BuildUnit]:
        return [BuildUnit(f"numbers-{n:04d}", "numbers", f"range {n}", n * 10) for n in range(self.count)]

    def parts(self, unit: BuildUnit) -> dict[str, Any]:
        return {"salt": self.salt, "first": unit.payload}

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        for value in range(unit.payload, unit.payload + 10):
            if value % 2:
                yield BuiltRow("odd", str(value), columns={"value": value})
            else:
                copies = 2 if value % 4 == 0 else 1
                yield BuiltRow("keep", str(value), [self.sample(value, i) for i in range(copies)], {"value": value})

    def sample(self, value: int, copy: int) -> Sample:
        turns = (Turn("assistant", f"{self.salt}{value}"),)
        record = SampleRecord(f"n{value}-{copy}", "numbers", "ocr", "en", turns, Origin("numbers", value, str(value)))
        return Sample(record, (SampleImage("png", bytes([value]) * (value + 1), 1, 1),))
