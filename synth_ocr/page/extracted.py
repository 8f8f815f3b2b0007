"""Words as a document claims them, in pixels of the rendered page. Nothing here says whether they can be seen."""

from dataclasses import dataclass

from qvl.synth_ocr.page.geometry import Points, Rect, rect_quad

AXIS_TOLERANCE = 1e-3  # a direction with a component below this counts as parallel to a side of the page


@dataclass(slots=True)
class ExtractedWord:
    """A word as the document's engine reports it.

    ``rect`` is where its ink should be, in pixels; ``tall`` also includes ascent and descent. ``line`` groups the words of
    one line. ``heading`` is the direction in which its quad starts (an axis unless ``oblique_quad`` is set), ``direction``
    the one in which the text runs.
    """

    text: str
    rect: Rect
    tall: Rect
    line: tuple[int, int]  # block, line
    direction: tuple[float, float]  # on the rendered page
    heading: tuple[float, float]
    size: float  # font size in pixels
    oblique_quad: Points | None = None  # set only for text that is parallel to no side of the page

    @property
    def layout(self) -> Points:
        """The quad from ascent to descent."""
        return rect_quad(self.tall, self.heading) if self.oblique_quad is None else self.oblique_quad


def is_oblique(direction: tuple[float, float]) -> bool:
    """Whether text in this direction is parallel to no side of the page."""
    return min(abs(direction[0]), abs(direction[1])) > AXIS_TOLERANCE
