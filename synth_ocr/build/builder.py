"""The OCR dataset as a builder of the base: sources to units, outcomes to ledger rows and samples."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.synth_ocr.build.recipe import OcrRecipe, OcrSource
from qvl.synth_ocr.build.sample import COLUMNS, made

OCR_VERSION = 4  # of what the code makes of equal inputs: raise it when samples change


@dataclass
class OcrBuilder:
    """Every source's units; a unit's output depends on its source's settings, its inputs and the library versions."""

    recipe: OcrRecipe
    name: str = field(init=False)
    columns: list[tuple[str, pa.DataType]] = field(init=False)
    # by source, what all its units share: fonts, texts and pictures are read once per run, not once per unit
    _common: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name, self.columns = self.recipe.name, COLUMNS

    def units(self) -> list[BuildUnit]:
        return [unit for source in self.recipe.sources for unit in source.read.units(source.name)]

    def parts(self, unit: BuildUnit) -> dict[str, Any]:
        shared = {"version": OCR_VERSION, "seed": self.recipe.seed, "text_tokens": self.recipe.text_tokens}
        read = self._source(unit).read
        if unit.source not in self._common:
            self._common[unit.source] = read.common()
        return {**shared, **self._common[unit.source], **read.parts(unit)}

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        read = self._source(unit).read
        for row, outcome in enumerate(read.outcomes(unit, self.recipe.seed)):
            yield made(outcome, unit, read.kind, row, self.recipe.text_tokens)

    def _source(self, unit: BuildUnit) -> OcrSource:
        return next(source for source in self.recipe.sources if source.name == unit.source)
