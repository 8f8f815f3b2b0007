"""The builder of text, dialogues and interleaved documents: files become units, drafts become ledger rows and samples."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from pydantic import JsonValue

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.pipeline.builders.text.interleaved import Interleaved
from qvl.pipeline.builders.text.recipe import Source, TextRecipe
from qvl.pipeline.builders.text.source import ADDED_SETTINGS, FILES, Draft
from qvl.pipeline.commit.fingerprint import file_identity
from qvl.pipeline.curate.measuring.columns import CATEGORY, sample_id
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord
from qvl.pipeline.sources.paths import find_units, owned
from qvl.pipeline.storage.reader import Storage

TEXT_VERSION = 1  # raise it when a change of the code changes samples
COLUMNS: list[tuple[str, pa.DataType]] = [
    ("language", CATEGORY),
    ("characters", pa.int32()),
    ("turns", pa.int32()),
    ("images", pa.int32()),
]
LEFT_OUT: list[tuple[str, pa.DataType]] = [  # pictures of an interleaved document that are in none of its samples
    ("lost_images", pa.int32()),  # missing or unreadable
    ("small_images", pa.int32()),  # too small or too narrow
    ("surplus_images", pa.int32()),  # without a text in their sample
]


@dataclass
class TextBuilder:
    """A ``qvl.pipeline.builders.builder.Builder``. A unit is a file.

    A unit is not rebuilt when only an image changes: its fingerprint covers the text file, not the images.
    """

    recipe: TextRecipe
    exclusion: Exclusion
    name: str = field(init=False)
    columns: list[tuple[str, pa.DataType]] = field(init=False)

    def __post_init__(self) -> None:
        documents = any(isinstance(source, Interleaved) for source in self.recipe.sources)
        self.name, self.columns = self.recipe.name, [*COLUMNS, *(LEFT_OUT if documents else [])]

    def units(self) -> list[BuildUnit]:
        storage = Storage()
        files = [
            unit for source in self.recipe.sources for unit in owned(find_units(source.paths, storage), source.name)
        ]
        return [BuildUnit(unit.id, unit.source, unit.name, unit.path) for unit in files]

    def parts(self, unit: BuildUnit) -> dict[str, JsonValue]:
        return {
            "version": TEXT_VERSION,
            "source": _settings(self._source(unit)),
            "input": file_identity(Storage(), unit.payload),
            "exclusion": self.exclusion.fingerprint,
        }

    def make(self, unit: BuildUnit) -> Iterator[BuiltRow]:
        for row, draft in enumerate(self._source(unit).drafts(unit.payload, Storage())):
            yield self._built_row(unit, row, draft)

    def _built_row(self, unit: BuildUnit, row: int, draft: Draft) -> BuiltRow:
        hits = (self.exclusion.by_image(picture.data, picture.sha) for picture in draft.pictures)
        hit = next((hit for hit in hits if hit is not None), None)
        if draft.verdict != KEEP or hit is not None:
            verdict = hit.verdict if hit is not None else draft.verdict
            return BuiltRow(verdict, draft.key, columns=draft.columns)
        samples = []
        for number, (turns, pictures) in enumerate(zip(draft.samples, draft.pictures_of_samples(), strict=True)):
            images = tuple(SampleImage(p.extension, p.data, p.width, p.height) for p in pictures)
            sha = pictures[0].sha if len(pictures) == 1 else ""
            record = SampleRecord(
                id=f"{sample_id(unit.id, row)}-{number}",
                source=unit.source,
                task=self._source(unit).kind,
                language=draft.language,
                turns=turns,
                origin=Origin(unit.name, row, draft.key, sha=sha),
                regions=tuple(draft.regions),
            )
            samples.append(Sample(record, images))
        columns = {
            "language": draft.language,
            "characters": sum(len(turn.text) for turns in draft.samples for turn in turns),
            "turns": sum(map(len, draft.samples)),
            "images": len(draft.pictures),
            **draft.columns,
        }
        return BuiltRow(KEEP, draft.key, samples, columns)

    def _source(self, unit: BuildUnit) -> Source:
        return next(source for source in self.recipe.sources if source.name == unit.source)


def _settings(source: Source) -> dict[str, JsonValue]:
    """The settings that determine a source's samples. ADDED_SETTINGS are left out while they have their default."""
    settings = source.model_dump(mode="json", exclude=set(FILES))
    return {name: value for name, value in settings.items() if (name, value) not in ADDED_SETTINGS.items()}


def text_builder(recipe: TextRecipe) -> TextBuilder:
    """The builder of a recipe, with its exclusion list. Raises RecipeError if the list does not exist."""
    if recipe.exclusion is None:
        return TextBuilder(recipe, Exclusion())
    path = Path(recipe.exclusion)
    if not path.is_file():
        raise RecipeError(f"{path}: no such file; `qvl ground exclude RECIPE -o {path.name}` writes one")
    return TextBuilder(recipe, Exclusion.read(path))
