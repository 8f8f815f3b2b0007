"""The regions of a sample: phrases and where they are in its images."""

from dataclasses import dataclass, fields
from typing import Literal

from qvl.pipeline.markup.coordinates import Box, Quad

Level = Literal["line", "word", "paragraph"]


@dataclass(frozen=True, slots=True)
class Region:
    """A phrase with its ``box`` or ``quad`` in the image number ``image``. Corners are fractions of width and height.

    The other fields belong to OCR pages. ``order`` counts within each level. ``parent`` is the index of the line of a word,
    or of the paragraph of a line. From ``layout`` on, the fields describe lines only.
    """

    phrase: str
    image: int
    box: Box | None = None
    quad: Quad | None = None
    level: Level | None = None
    order: int | None = None
    parent: int | None = None
    layout: Quad | None = None  # from ascent to descent
    ink_share: float | None = None
    contrast: float | None = None  # 0..255
    pixel_height: float | None = None

    def stated(self) -> dict[str, object]:
        """The fields that are not None, in the order of the class: the region's keys in the sample's JSON."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}


FIELDS = tuple(field.name for field in fields(Region))
