"""Words as a document says, in pixels of the rendered page. Whether they can be seen is not known here."""

from dataclasses import dataclass

from qvl.synth_ocr.page.geometry import Points, Rect, rect_quad

AXES = 1e-3  # a direction with no component below this is parallel to no side of the page


@dataclass(slots=True)
class Piece:
    """A word as extracted. ``rect``: promised ink in pixels, ``tall``: with ascent and descent; ``line`` groups pieces.

    ``heading`` is where its quad starts (an axis where ``turned`` is None), ``direction`` where the text runs.
    """

    text: str
    rect: Rect
    tall: Rect
    line: tuple[int, int]  # block, line
    direction: tuple[float, float]  # on the rendered page
    heading: tuple[float, float]
    size: float  # font size in pixels
    turned: Points | None = None  # the quad where it is parallel to no side

    @property
    def layout(self) -> Points:
        return rect_quad(self.tall, self.heading) if self.turned is None else self.turned


def is_oblique(direction: tuple[float, float]) -> bool:
    """Whether text runs parallel to no side of the page."""
    return min(abs(direction[0]), abs(direction[1])) > AXES
