"""What every source turns an annotation into, before its image was looked at."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from qvl.grounding_builder.drafts.regions import Boxes, Region, regions_of
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.captions.prompt_language import prompt_language
from qvl.pipeline.markup import markers
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.markers import has_marker
from qvl.pipeline.markup.turns import Turns, referring_turns, region_caption_turns
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.storage.reader import Storage

Task = Literal["grounded_caption", "referring", "region_caption", "vqa"]
BLANKS = re.compile(r"\s+")
# recipe keys that say where files lie; what is in them has identities of its own
FILES = frozenset(
    ("refs", "instances", "image_folder", "image_data", "regions", "objects", "questions", "answers", "annotations", "paths",
     "coco", "ids", "images")
)  # fmt: skip
NOT_TRAIN = "not_train"  # a row of a split that is not asked for


@dataclass(frozen=True)
class Item:
    """A sample without its image: task, language, turns, regions."""

    task: Task
    language: str
    turns: Turns
    regions: list[Region]


@dataclass
class Draft:
    """One input row. ``verdict`` is the reason of its drop, or None; then ``items`` are its samples.

    ``image`` is a path, or the bytes. ``ids`` are what the exclusion list is asked. ``size`` is what the annotation refers
    to in pixels, ``scaled`` whether a smaller copy will do. ``regions`` boxes came in, ``lost`` holds a reason for each
    that went, ``flags`` one word per oddity of those that stay.
    """

    key: str
    verdict: str | None = None
    image: str | Bytes = ""
    ids: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    scaled: bool = False
    url: str = ""
    items: list[Item] = field(default_factory=list)
    regions: int = 0
    lost: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def drop(self, reason: str) -> "Draft":
        """The row goes, and every box that it still had goes with it."""
        self.verdict, self.items = reason, []
        self.lost += [reason] * (self.regions - len(self.lost))
        return self


@dataclass(frozen=True)
class Piece:
    """A part of an input file: the unit of work. ``identity`` tells a change of its bytes; ``payload`` is the source's."""

    path: str
    number: int
    identity: dict[str, Any]
    payload: Any = None


class Annotations(RecipeModel, ABC):
    """A named source of annotations. ``language``: of its texts; ``auto`` asks the share of Han letters.

    ``markup``: what happens to text that holds training markers. ``per_image``: at most so many phrases of one image
    become ``referring`` and ``region_caption`` samples, each of which carries a copy of the image.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    language: Literal["en", "zh", "auto"] = "auto"
    markup: Literal["drop", "escape"] = "drop"
    boxes: Boxes = Boxes()
    per_image: int | None = Field(default=None, ge=1)

    @abstractmethod
    def pieces(self, storage: Storage) -> list[Piece]:
        """The parts of all files, in a fixed order. Raises RecipeError for what is not there."""

    @abstractmethod
    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        """Every input row of a part, in order."""

    def speaks(self, text: str) -> str:
        return prompt_language(text) if self.language == "auto" else self.language

    def plain(self, text: str) -> str | None:
        """A text of one line that is safe to train on; None where it holds markers and the recipe drops those."""
        text = BLANKS.sub(" ", text).strip()
        if not has_marker(text):
            return text
        return markers.escape(text) if self.markup == "escape" else None


def referring(phrase: str, boxes: list[Box], language: str) -> Item:
    """Phrase to all of its boxes."""
    return Item("referring", language, referring_turns(phrase, boxes), regions_of(phrase, boxes))


def region_caption(phrase: str, box: Box, language: str) -> Item:
    """Box to phrase."""
    return Item("region_caption", language, region_caption_turns(box, phrase, language), regions_of(phrase, [box]))


def both_ways(phrase: str, boxes: list[Box], language: str, tasks: tuple[Task, ...]) -> list[Item]:
    """The samples of a phrase: one ``referring``, and a ``region_caption`` per box, as far as ``tasks`` asks for them."""
    items = [referring(phrase, boxes, language)] if "referring" in tasks else []
    return items + [region_caption(phrase, box, language) for box in boxes if "region_caption" in tasks]
