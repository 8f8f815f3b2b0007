"""A rendered page: its pixels, its text with positions, and what the pixels show about each line."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qvl.synth_ocr.page.geometry import Points
from qvl.synth_ocr.page.notes import BrowserNotes, SceneNotes

Pixels = NDArray[np.uint8]


class PageRejected(Exception):
    """The page becomes a verdict instead of a sample; ``str(error)`` is the reason, such as ``too_small``."""


@dataclass
class Word:
    """Text between blanks, with the quad of its ink."""

    text: str
    quad: Points


@dataclass
class Line:
    """A line of text. ``quad`` surrounds the ink, ``layout`` the font's ascent, descent and advance, both in pixels.

    ``ink_share``: ink pixels / pixels of the quad. ``contrast``: mean change of the ink's pixels by the text, 0..255.
    ``pixel_height``: side of the quad across the reading direction. ``agreement``: IoU of where the layout expects the ink
    (carried through the geometry) and where it was found in the pixels.
    """

    text: str
    quad: Points
    layout: Points
    words: list[Word]
    paragraph: int
    ink_share: float = 0.0
    contrast: float = 0.0
    pixel_height: float = 0.0
    agreement: float = 1.0


@dataclass
class Page:
    """``unlabelled_ink``: share of all text ink that is not in any line. ``lost``: words and lines dropped, by reason."""

    image: Pixels  # [height, width, 3], RGB
    lines: list[Line]
    unlabelled_ink: float = 0.0
    lost: Counter[str] = field(default_factory=Counter)
    fonts: list[str] = field(default_factory=list)
    notes: SceneNotes | BrowserNotes | None = None
    quality: int = 90  # of the JPEG

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True)
class Outcome:
    """What one input row became, as it travels between processes: a page, or the reason why there is none."""

    key: str
    verdict: str
    jpeg: bytes = b""
    width: int = 0
    height: int = 0
    page: Page | None = None  # without its pixels
