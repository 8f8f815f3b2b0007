"""Choose which of a caption's nested spans to keep: the best set of disjoint spans, by dynamic programming.

The paper greedily keeps "as many box labels as possible" and gives no algorithm. Here the set is optimal: most boxes, then
most characters, then the highest score. A greedy choice by earliest end finds equally many spans, but shorter phrases.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from qvl.pipeline.markup import markers
from qvl.pipeline.markup.coordinates import Box

TRIMMED = " \t\r\n.,;:!?\"'()[]。，；：！？、"


@dataclass(slots=True)
class Span:
    """A phrase ``caption[start:end]`` (in characters), all of its boxes, and the sum of their scores."""

    start: int
    end: int
    boxes: list[Box]
    score: float


def choose(spans: list[Span]) -> list[Span]:
    """The set of disjoint spans with the greatest (boxes, characters, score), in order. O(n log n)."""
    if len(spans) < 2:
        return spans
    ordered = sorted(spans, key=attrgetter("end", "start"))
    if all(one.end <= other.start for one, other in pairwise(ordered)):
        return ordered
    ends = [span.end for span in ordered]
    best: list[tuple[int, int, float]] = [(0, 0, 0.0)]
    taken: list[int] = []  # index in ``best`` before the span if the span is taken, else -1
    for span in ordered:
        before = bisect_right(ends, span.start)
        boxes, characters, score = best[before]
        more = (boxes + len(span.boxes), characters + span.end - span.start, score + span.score)
        better = more > best[-1]
        taken.append(before if better else -1)
        best.append(more if better else best[-1])
    return _walk(ordered, taken)


def _walk(ordered: list[Span], taken: list[int]) -> list[Span]:
    """The spans that were taken on the way to the last entry of ``best``."""
    chosen, index = [], len(ordered)
    while index:
        before = taken[index - 1]
        if before < 0:
            index -= 1
        else:
            chosen.append(ordered[index - 1])
            index = before
    return chosen[::-1]


def trimmed(caption: str, start: int, end: int) -> tuple[int, int]:
    """The span without blanks and punctuation at its ends. A span outside the caption is returned unchanged."""
    if not 0 <= start < end <= len(caption):
        return start, end
    while start < end and caption[start] in TRIMMED:
        start += 1
    while end > start and caption[end - 1] in TRIMMED:
        end -= 1
    return start, end


def text_fault(caption: str, start: int, end: int) -> str | None:
    """Why the span is not a phrase of the caption; None if it is one."""
    if start == end:
        return "empty_phrase"
    if not 0 <= start < end <= len(caption):
        return "span:outside"
    inside = (start > 0 and _same_word(caption[start - 1 : start + 1])) or _same_word(caption[end - 1 : end + 1])
    return "span:inside_word" if inside else None


def _same_word(pair: str) -> bool:
    """Whether two adjacent characters belong to one word; always False in scripts without blanks between words."""
    return len(pair) == 2 and pair.isalnum() and max(pair) < "\u2e80"


def escaped(caption: str, spans: list[Span]) -> tuple[str, list[Span]]:
    """The caption with its markers escaped, and the spans moved to match."""
    pieces, moved, position, length = [], [], 0, 0
    for span in spans:
        before, phrase = markers.escape(caption[position : span.start]), markers.escape(caption[span.start : span.end])
        start = length + len(before)
        moved.append(Span(start, start + len(phrase), span.boxes, span.score))
        pieces += [before, phrase]
        length, position = start + len(phrase), span.end
    return "".join([*pieces, markers.escape(caption[position:])]), moved
