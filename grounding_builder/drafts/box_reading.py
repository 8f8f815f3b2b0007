"""How the four numbers of a box are meant, and a test of it on the boxes of a file.

Annotation files do not say whether [100, 100, 300, 250] has a corner at (300, 250) or is 300 pixels wide. A wrong reading
gives boxes that look plausible one by one. Over a whole file it shows: many boxes leave their image, and under the right
reading none do. Orders of x and y cannot be told apart in square coordinates (0 to 1, 0 to 1000).
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup.coordinates import Box

Order = Literal["xywh", "xyxy", "yxhw", "yxyx", "cxcywh"]
Scale = Literal["pixels", "fraction", "thousand"]
Corners = npt.NDArray[np.float64]

NO_BOX = "box:missing"
SAMPLE = 2_000  # boxes of a piece that are tested
LEAST_BOXES = 2
MISFITS = 0.05  # the share of boxes that may not fit the declared reading
MISFITS_THOUSAND = 1 / 3  # the same if the other reading is 0 to 1000, which most boxes of small images fit in any case
FEWER = 5  # how many times fewer misfits another reading must have
TOLERANCE = 0.01  # of the image's sides
ORDERS: dict[str, str] = {
    "xywh": "x, y, width, height",
    "xyxy": "x1, y1, x2, y2",
    "yxhw": "y, x, height, width",
    "yxyx": "y1, x1, y2, x2",
    "cxcywh": "center x, center y, width, height",
}
SCALES: dict[str, str] = {"pixels": "in pixels", "fraction": "from 0 to 1", "thousand": "from 0 to 1000"}


class Reading(NamedTuple):
    """The order of the numbers of a box, and their scale."""

    order: Order
    scale: Scale

    def __str__(self) -> str:
        return f"{ORDERS[self.order]} {SCALES[self.scale]}"


READINGS = [Reading(order, scale) for scale in get_args(Scale) for order in get_args(Order)]


def four_numbers(value: Any) -> Box | str:
    """A box of four numbers, or the reason for its drop. Numbers written as text are not numbers."""
    if value is None:
        return NO_BOX
    if not isinstance(value, list | tuple) or len(value) != 4:
        return "box:malformed"
    if not all(type(number) is float or type(number) is int for number in value):
        return "box:malformed"
    try:
        a, b, c, d = map(float, value)
    except OverflowError:
        return "box:malformed"
    return a, b, c, d


def corners_in_pixels(box: Box, reading: Reading, width: float, height: float) -> Box:
    """The corners x1, y1, x2, y2 of a box in pixels of an image of this size."""
    a, b, c, d = box
    if reading.order in ("yxhw", "yxyx"):
        a, b, c, d = b, a, d, c
    if reading.order in ("xywh", "yxhw"):
        c, d = a + c, b + d
    elif reading.order == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if reading.scale == "pixels":
        return a, b, c, d
    x, y = (width, height) if reading.scale == "fraction" else (width / 1000, height / 1000)
    return a * x, b * y, c * x, d * y


@dataclass(slots=True)
class ReadingTest:
    """Collects the first boxes of a piece, and refuses the piece if another reading than ``declared`` explains them."""

    declared: Reading
    _boxes: list[Box] = field(default_factory=list)
    _sizes: list[tuple[float, float]] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether enough boxes have been collected."""
        return len(self._boxes) >= SAMPLE

    def add_all(self, boxes: list[Any], size: tuple[float, float]) -> None:
        """Note several boxes of one image."""
        for box in boxes:
            self.add(box, size)

    def add(self, box: Any, size: tuple[float, float]) -> None:
        """Note a box and the size of its image in pixels; what is not a box of four numbers is left out."""
        if not self.full and size[0] > 0 and size[1] > 0:
            numbers = four_numbers(box)
            if not isinstance(numbers, str):
                self._boxes.append(numbers)
                self._sizes.append(size)

    def misfits(self, reading: Reading) -> int:
        """How many of the boxes leave their image, have no area or are as small as fractions under a reading."""
        with np.errstate(all="ignore"):
            boxes, sizes = np.array(self._boxes), np.array(self._sizes)
            corners = np.stack(corners_in_pixels(tuple(boxes.T), reading, *sizes.T), axis=1)
            near, far = corners[:, :2], corners[:, 2:]
            inside = (near >= -TOLERANCE * sizes) & (far <= (1 + TOLERANCE) * sizes) & (far > near)
            tiny = (np.abs(boxes) <= 1).all(axis=1) & (reading.scale != "fraction")
            return int((~inside.all(axis=1) | tiny).sum())

    def contradiction(self) -> str | None:
        """What the boxes say against the declared reading, with both counts, if they fit another one; else None."""
        count = len(self._boxes)
        if count < LEAST_BOXES:
            return None
        found = self.misfits(self.declared)
        if found < max(1, MISFITS * count):
            return None
        choices = [r for r in READINGS if r.scale != "thousand" or found >= MISFITS_THOUSAND * count]
        left, best = min(((self.misfits(each), each) for each in choices), key=lambda pair: pair[0])
        if left * FEWER > found:
            return None
        return f"of {count:,} boxes, {found:,} do not fit their image as {self.declared}, and {left:,} as {best}"

    def check(self, name: str, remedy: str) -> None:
        """Raises DataError if the boxes contradict the declared reading and fit another one."""
        contradiction = self.contradiction()
        if contradiction is not None:
            raise DataError(f"{name}: {contradiction}; {remedy}")
