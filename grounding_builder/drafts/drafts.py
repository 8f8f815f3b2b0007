"""What every source turns an annotation into before its image is read."""

import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue

from qvl.grounding_builder.drafts.box_reading import ReadingTest
from qvl.grounding_builder.drafts.readable import readable, text_of
from qvl.grounding_builder.drafts.regions import Boxes, regions_of
from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.captions.prompt_language import prompt_language
from qvl.pipeline.markup import markers
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.markers import has_marker
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turns, referring_turns, region_caption_turns
from qvl.pipeline.sources.base import Bytes
from qvl.pipeline.storage.reader import Storage

Task = Literal["grounded_caption", "referring", "region_caption", "vqa"]
BLANKS = re.compile(r"\s+")
# recipe keys that contain paths: fingerprints cover the contents of these files instead
FILES = frozenset(
    ("refs", "instances", "image_folder", "image_data", "regions", "objects", "questions", "answers", "annotations", "paths",
     "coco", "ids", "images")
)  # fmt: skip
NOT_TRAIN = "not_train"  # the row belongs to a split that the recipe does not use


@dataclass(frozen=True, slots=True)
class Item:
    """A sample without its image."""

    task: Task
    language: str
    turns: Turns
    regions: list[Region]


@dataclass(slots=True)
class Draft:
    """One input row. ``verdict`` is the reason for its drop, or None; in that case ``items`` are its samples.

    ``image`` is a path or the image's bytes. ``ids`` are looked up in the exclusion list. ``size`` is the image size in
    pixels that the annotation refers to, and ``scaled`` says whether a smaller copy of the image is acceptable. ``regions``
    is the number of boxes in the row, ``lost`` holds a reason for every dropped box, ``flags`` a name for every oddity of a
    kept box.
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
        """Drop the row and all of its boxes that were not dropped before."""
        self.verdict, self.items = reason, []
        self.lost += [reason] * (self.regions - len(self.lost))
        return self


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an input file: the unit of work. ``identity`` changes with its bytes; ``payload`` belongs to the source."""

    path: str
    number: int
    identity: dict[str, JsonValue]
    payload: Any = None


class Annotations(RecipeModel, ABC):
    """A named source of annotations.

    ``language``: the language of its texts; ``auto`` decides by the share of Han characters. ``markup``: what happens to
    text that contains training markers. ``box_test``: refuse files whose boxes contradict their format and fit another
    reading (corners in place of width and height, fractions in place of pixels). ``per_image``: the most phrases of one
    image that become ``referring`` and ``region_caption`` samples, each of which contains a copy of the image.
    """

    version: ClassVar[int] = 2
    """Raised when rows of the same file get other samples or verdicts."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    language: Literal["en", "zh", "auto"] = "auto"
    markup: Literal["drop", "escape"] = "drop"
    boxes: Boxes = Boxes()
    box_test: bool = True
    per_image: int | None = Field(default=None, ge=1)

    @abstractmethod
    def pieces(self, storage: Storage) -> list[Piece]:
        """The parts of all files, in a fixed order. Raises RecipeError for missing files."""

    @abstractmethod
    def drafts(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        """Every input row of a part, in order."""

    def rows(self, piece: Piece, storage: Storage) -> Iterator[Draft]:
        """The same as ``drafts``. Raises DataError for a record that cannot be read."""
        drafts, name, number = self.drafts(piece, storage), posixpath.basename(public_address(piece.path)), 0
        while True:
            with readable(f"{self.name}: {name}: row {number} of part {piece.number}"):
                draft = next(drafts, None)
            if draft is None:
                return
            yield draft
            number += 1

    def check_boxes(
        self, test: ReadingTest, path: str, remedy: str = "the boxes are not as this format has them"
    ) -> None:
        """Raises DataError if the boxes of a file contradict their declared reading and fit another one."""
        if self.box_test:
            name = f"{self.name}: {posixpath.basename(public_address(path))}"
            test.check(name, f"{remedy}, or box_test: false if the file is right as it is")

    def language_of(self, text: str) -> str:
        """The prompt language of a text."""
        return prompt_language(text) if self.language == "auto" else self.language

    def plain(self, text: str) -> str | None:
        """The text on one line, safe to train on; None if it contains markers and the recipe drops such rows."""
        text = BLANKS.sub(" ", text_of(text)).strip()
        if not has_marker(text):
            return text
        return markers.escape(text) if self.markup == "escape" else None


def referring(phrase: str, boxes: list[Box], language: str) -> Item:
    """A sample that asks for all boxes of a phrase."""
    return Item("referring", language, referring_turns(phrase, boxes), regions_of(phrase, boxes))


def region_caption(phrase: str, box: Box, language: str) -> Item:
    """A sample that asks for the phrase of a box."""
    return Item("region_caption", language, region_caption_turns(box, phrase, language), regions_of(phrase, [box]))


def both_ways(phrase: str, boxes: list[Box], language: str, tasks: tuple[Task, ...]) -> list[Item]:
    """The samples of a phrase that ``tasks`` include: one ``referring``, and one ``region_caption`` per box."""
    items = [referring(phrase, boxes, language)] if "referring" in tasks else []
    return items + [region_caption(phrase, box, language) for box in boxes if "region_caption" in tasks]
