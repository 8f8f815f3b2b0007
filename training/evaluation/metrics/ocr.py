"""OCR of a page: character error rate of its text, words found, and lines found in their place with their text."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from qvl.pipeline.markup.coordinates import Quad
from qvl.pipeline.markup.quads import quad_bounds, quad_iou
from qvl.training.evaluation.metrics.grounded import matches
from qvl.training.evaluation.metrics.words import HAN

THRESHOLD = 0.5
WORD = re.compile(rf"[{HAN}]|(?:(?![{HAN}])\S)+")

Line = tuple[str, Quad]  # text and corners as fractions of width and height


@dataclass(frozen=True)
class Read:
    """Counts of one page; they add up over pages."""

    edits: int  # of characters, over the lines in reading order
    characters: int  # of the truth
    words: int  # of the truth
    words_predicted: int
    words_matched: int  # as multisets: places and order do not count
    lines: int
    lines_predicted: int
    lines_placed: int  # one to one at IoU 0.5 of the quads
    lines_read: int  # placed, and the text is equal
    iou: float  # sum over the placed lines

    @property
    def similarity(self) -> float:
        """1 minus the character error rate, not below 0: what pages are ranked by."""
        if not self.characters:
            return float(not self.edits)
        return max(0.0, 1.0 - self.edits / self.characters)


def read(predicted: Sequence[Line], truths: Sequence[Line]) -> Read:
    """Compare the lines of a page. Texts are compared in NFKC with single blanks, case counts."""
    found = [(plain(text), quad) for text, quad in predicted]
    wanted = [(plain(text), quad) for text, quad in truths]
    bags = [Counter(WORD.findall("\n".join(text for text, _ in lines))) for lines in (found, wanted)]
    placed = matches([quad for _, quad in found], [quad for _, quad in wanted], _overlap, THRESHOLD)
    texts = ["\n".join(text for text, _ in lines) for lines in (found, wanted)]
    return Read(
        edits=Levenshtein.distance(*texts),
        characters=len(texts[1]),
        words=bags[1].total(),
        words_predicted=bags[0].total(),
        words_matched=(bags[0] & bags[1]).total(),
        lines=len(wanted),
        lines_predicted=len(found),
        lines_placed=len(placed),
        lines_read=sum(found[i][0] == wanted[j][0] for i, j, _ in placed),
        iou=sum(share for _, _, share in placed),
    )


def plain(text: str) -> str:
    """Compatibility forms folded, runs of blanks one blank."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _overlap(first: Quad, second: Quad) -> float:
    """IoU, at no cost for quads whose upright bounds do not meet."""
    a, b = quad_bounds(first), quad_bounds(second)
    apart = a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    return 0.0 if apart else quad_iou(first, second)
