"""The OCR dataset as a builder: sources become units, outcomes become ledger rows and samples."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from cachetools import cachedmethod
from pydantic import JsonValue

from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.synth_ocr.build.recipe import OcrRecipe, OcrSource
from qvl.synth_ocr.build.sample import COLUMNS, built_row

OCR_VERSION = 4  # raise it when the code makes different samples from equal inputs


@dataclass
class OcrBuilder:
    """The units of all sources. A unit's output depends on its source's settings, its inputs and the library versions."""

    recipe: OcrRecipe
    name: str = field(init=False)
    columns: list[tuple[str, pa.DataType]] = field(init=False)
    _common_parts: dict[object, dict[str, JsonValue]] = field(default_factory=dict)  # cache; it travels to the workers

    def __post_init__(self) -> None:
        self.name, self.columns = self.recipe.name, COLUMNS

    def units(self) -> list[BuildUnit]:
        return [unit for source in self.recipe.sources for unit in source.read.units(source.name)]

    def parts(self, unit: BuildUnit) -> dict[str, JsonValue]:
        shared: dict[str, JsonValue] = {
            "version": OCR_VERSION, "seed": self.recipe.seed, "text_tokens": self.recipe.text_tokens
        }  # fmt: skip
        return {**shared, **self._common(unit.source), **self._source(unit.source).read.parts(unit)}

    @cachedmethod(lambda self: self._common_parts)
    def _common(self, source: str) -> dict[str, JsonValue]:
        """What all units of a source share: its fonts, texts and pictures are read once per run, not once per unit."""
        return self._source(source).read.common()

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        read = self._source(unit.source).read
        for row, outcome in enumerate(read.outcomes(unit, self.recipe.seed)):
            yield built_row(outcome, unit, read.kind, row, self.recipe.text_tokens)

    def _source(self, name: str) -> OcrSource:
        return next(source for source in self.recipe.sources if source.name == name)
