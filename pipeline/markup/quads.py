"""Intersection over union of quads, in any unit.

They are clipped here rather than by a geometry library: predicted quads may cross themselves or have no area, which
shapely rejects and OpenCV, in single precision, answers differently on each processor.
"""

from collections.abc import Sequence

from qvl.pipeline.markup.coordinates import Box, Quad

Point = tuple[float, float]


def quad_iou(first: Quad, second: Quad) -> float:
    """Intersection over union, 0 to 1. A quad that is not convex, or crosses itself, counts as its convex hull."""
    hulls = _hull(_points(first)), _hull(_points(second))
    shared = _area(_clip(*hulls))
    whole = _area(hulls[0]) + _area(hulls[1]) - shared
    return shared / whole if whole > 0 else 0.0


def quad_bounds(quad: Quad) -> Box:
    """The upright box around the corners."""
    return min(quad[::2]), min(quad[1::2]), max(quad[::2]), max(quad[1::2])


def _points(quad: Quad) -> list[Point]:
    return list(zip(quad[::2], quad[1::2], strict=True))


def _cross(origin: Point, a: Point, b: Point) -> float:
    return (a[0] - origin[0]) * (b[1] - origin[1]) - (a[1] - origin[1]) * (b[0] - origin[0])


def _half(points: Sequence[Point]) -> list[Point]:
    chain: list[Point] = []
    for point in points:
        while len(chain) > 1 and _cross(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain[:-1]


def _hull(points: list[Point]) -> list[Point]:
    """Corners of the convex hull in the direction of positive area (Andrew's monotone chain)."""
    ordered = sorted(set(points))
    return _half(ordered) + _half(ordered[::-1])


def _area(polygon: Sequence[Point]) -> float:
    turned = [*polygon[1:], *polygon[:1]]
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(polygon, turned, strict=True))) / 2


def _clip(subject: list[Point], clip: list[Point]) -> list[Point]:
    """The part of ``subject`` inside ``clip``, both convex (Sutherland and Hodgman)."""
    for start, end in zip(clip, [*clip[1:], *clip[:1]], strict=True):
        sides = [_cross(start, end, point) for point in subject]
        kept: list[Point] = []
        for index, point in enumerate(subject):
            before, here = sides[index - 1], sides[index]
            if (here >= 0) != (before >= 0):
                share = before / (before - here)
                other = subject[index - 1]
                kept.append((other[0] + share * (point[0] - other[0]), other[1] + share * (point[1] - other[1])))
            if here >= 0:
                kept.append(point)
        subject = kept
    return subject
