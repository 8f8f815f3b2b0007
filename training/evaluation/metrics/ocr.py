"""OCR of a page: character error rate of its text, words found, and lines found at the right position with their text."""

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


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Counts of one page; they can be added up over pages."""

    edits: int  # edit distance in characters between the texts in reading order
    characters: int  # of the true text
    words: int  # of the true text
    words_predicted: int
    words_matched: int  # as multisets: position and order are ignored
    lines: int
    lines_predicted: int
    lines_matched: int  # one to one at a quad IoU of 0.5
    lines_read: int  # matched lines whose text is equal
    iou: float  # sum over the matched lines

    @property
    def similarity(self) -> float:
        """1 minus the character error rate, not below 0; pages are ranked by it."""
        if not self.characters:
            return float(not self.edits)
        return max(0.0, 1.0 - self.edits / self.characters)


def count_page(predicted: Sequence[Line], truths: Sequence[Line]) -> PageCounts:
    """Compare the lines of a page. Texts are compared in NFKC with single blanks; case counts."""
    found = [(plain(text), quad) for text, quad in predicted]
    expected = [(plain(text), quad) for text, quad in truths]
    found_text, expected_text = ("\n".join(text for text, _ in lines) for lines in (found, expected))
    found_words, expected_words = (Counter(WORD.findall(text)) for text in (found_text, expected_text))
    matched = matches([quad for _, quad in found], [quad for _, quad in expected], _overlap, THRESHOLD)
    return PageCounts(
        edits=Levenshtein.distance(found_text, expected_text),
        characters=len(expected_text),
        words=expected_words.total(),
        words_predicted=found_words.total(),
        words_matched=(found_words & expected_words).total(),
        lines=len(expected),
        lines_predicted=len(found),
        lines_matched=len(matched),
        lines_read=sum(found[i][0] == expected[j][0] for i, j, _ in matched),
        iou=sum(share for _, _, share in matched),
    )


def plain(text: str) -> str:
    """The text with compatibility forms folded (NFKC) and runs of blanks as one blank."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _overlap(first: Quad, second: Quad) -> float:
    """The IoU of two quads, computed only if their bounding boxes meet."""
    a, b = quad_bounds(first), quad_bounds(second)
    apart = a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    return 0.0 if apart else quad_iou(first, second)
