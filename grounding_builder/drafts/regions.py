"""Boxes in annotated pixels to validated fractions of the image, or the reason for their drop."""

from typing import Literal

from pydantic import Field

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.markup.coordinates import Box, collapses
from qvl.pipeline.markup.regions import Region

DECIMALS = 6
NARROW = 0.01  # far wider than a cell of the grid: only narrower sides can collapse


class Boxes(RecipeModel):
    """Which boxes are valid.

    ``min_side``: in annotated pixels. ``min_visible``: the smallest share of a box that must be inside the image; a box of
    which less is visible contradicts the image's size. ``whole_image``: the share of the image's area from which a box is
    flagged as uninformative; ``drop_whole`` drops it. ``collapsed``: what happens to a box without area on the grid of
    0..999.
    """

    min_side: float = Field(default=1.0, ge=0)
    min_visible: float = Field(default=0.5, ge=0, le=1)
    whole_image: float = Field(default=0.85, gt=0, le=1)
    drop_whole: bool = False
    collapsed: Literal["widen", "drop"] = "widen"


def fit(corners: Box, width: float, height: float, rule: Boxes) -> Box | str:
    """A box given by its corners in pixels, as fractions clipped to the image; or the reason for its drop."""
    x1, y1, x2, y2 = corners
    if not (x1 - x1 == 0 and y1 - y1 == 0 and x2 - x2 == 0 and y2 - y2 == 0):
        return "box:not_a_number"
    if x2 < x1 or y2 < y1:
        return "box:swapped"
    if x2 == x1 or y2 == y1:
        return "box:zero_area"
    left, top = x1 if x1 > 0 else 0.0, y1 if y1 > 0 else 0.0
    right, bottom = x2 if x2 < width else width, y2 if y2 < height else height
    if right <= left or bottom <= top:
        return "box:outside"
    if (right - left) * (bottom - top) < rule.min_visible * (x2 - x1) * (y2 - y1):
        return "box:contradicts_size"
    if right - left < rule.min_side or bottom - top < rule.min_side:
        return "box:too_small"
    box = (
        round(left / width, DECIMALS),
        round(top / height, DECIMALS),
        round(right / width, DECIMALS),
        round(bottom / height, DECIMALS),
    )
    if rule.collapsed == "drop" and collapses(box):
        return "box:collapsed"
    if rule.drop_whole and covers(box, rule):
        return "box:whole_image"
    return box


def covers(box: Box, rule: Boxes) -> bool:
    """Whether the box covers nearly the whole image."""
    return (box[2] - box[0]) * (box[3] - box[1]) >= rule.whole_image


def flags(boxes: list[Box], rule: Boxes) -> list[str]:
    """The oddities of kept boxes, one entry per box and oddity: ``whole_image``, ``widened``."""
    found = []
    for box in boxes:
        wide, high = box[2] - box[0], box[3] - box[1]
        if wide * high >= rule.whole_image:
            found.append("whole_image")
        if (wide < NARROW or high < NARROW) and collapses(box):
            found.append("widened")
    return found


def regions_of(phrase: str, boxes: list[Box]) -> list[Region]:
    """The regions of a phrase, one per box."""
    return [Region(phrase, 0, box=box) for box in boxes]
