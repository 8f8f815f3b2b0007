"""What all kinds of text sources share: their files, what text is safe to train on, and what a row becomes."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.captions.prompt_language import prompt_language
from qvl.pipeline.images.picture import Picture
from qvl.pipeline.markup import markers
from qvl.pipeline.markup.markers import has_marker
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turns
from qvl.pipeline.recipe.source import SourceName
from qvl.pipeline.storage.reader import Storage

FILES = frozenset(
    ("paths", "image_folder", "image_tars")
)  # recipe keys that contain paths, which are not part of fingerprints
ADDED_SETTINGS = {"follow_links": False}  # later keys with their defaults, at which they are no part of fingerprints


@dataclass(frozen=True, slots=True)
class Draft:
    """One input row: ``keep`` with the turns of its samples, or the reason for its drop.

    A dialogue is one sample; ``pictures`` and ``regions`` are its images and regions. Where a row becomes several samples
    with pictures, ``shares`` says how many of them each sample has, in order. ``columns`` are further values for the ledger.
    """

    key: str
    verdict: str
    samples: list[Turns] = field(default_factory=list)
    language: str = "en"
    pictures: list[Picture] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    shares: tuple[int, ...] | None = None
    columns: Mapping[str, int] = field(default_factory=dict)

    def pictures_of_samples(self) -> list[list[Picture]]:
        """The pictures of each sample."""
        if self.shares is None:
            return [self.pictures] * len(self.samples)
        ends = [*itertools.accumulate(self.shares)]
        return [self.pictures[end - share : end] for share, end in zip(self.shares, ends, strict=True)]


class TextSource(RecipeModel, ABC):
    """A named source of text.

    ``language``: the language of its texts; ``auto`` detects it. ``markup``: rows whose text contains training markers are
    dropped, or the markers are escaped.
    """

    name: SourceName
    paths: tuple[str, ...] = Field(min_length=1)
    language: Literal["auto", "en", "zh"] = "auto"
    markup: Literal["drop", "escape"] = "drop"

    @abstractmethod
    def drafts(self, path: str, storage: Storage) -> Iterator[Draft]:
        """Every row of a file, in order."""

    def speaks(self, text: str) -> str:
        """The prompt language of a text."""
        return prompt_language(text) if self.language == "auto" else self.language

    def safe(self, text: str) -> str | None:
        """The text as it is safe to train on; None if it contains markers and the recipe drops such rows."""
        if not has_marker(text):
            return text
        return markers.escape(text) if self.markup == "escape" else None
