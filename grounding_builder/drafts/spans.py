"""Which of a caption's nested spans to keep: the best set without overlap, by dynamic programming.

The paper keeps "as many box labels as possible" greedily and gives no algorithm. Here the set is optimal: most boxes, then
most characters, then the highest score. Earliest-end-first greedy finds as many spans but shorter phrases.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from qvl.pipeline.markup.coordinates import Box


@dataclass(slots=True)
class Span:
    """A phrase ``caption[start:end]`` (characters), all its boxes, and the sum of their scores."""

    start: int
    end: int
    boxes: list[Box]
    score: float


def choose(spans: list[Span]) -> list[Span]:
    """The disjoint spans with the greatest (boxes, characters, score), in order. O(n log n)."""
    if len(spans) < 2:
        return spans
    ordered = sorted(spans, key=attrgetter("end", "start"))
    if all(one.end <= other.start for one, other in pairwise(ordered)):
        return ordered
    ends = [span.end for span in ordered]
    best: list[tuple[int, int, float]] = [(0, 0, 0.0)]
    taken: list[int] = []  # place in ``best`` before the span where it is taken, else -1
    for span in ordered:
        before = bisect_right(ends, span.start)
        boxes, characters, score = best[before]
        more = (boxes + len(span.boxes), characters + span.end - span.start, score + span.score)
        better = more > best[-1]
        taken.append(before if better else -1)
        best.append(more if better else best[-1])
    return _walk(ordered, taken)


def _walk(ordered: list[Span], taken: list[int]) -> list[Span]:
    chosen, place = [], len(ordered)
    while place:
        before = taken[place - 1]
        if before < 0:
            place -= 1
        else:
            chosen.append(ordered[place - 1])
            place = before
    return chosen[::-1]
