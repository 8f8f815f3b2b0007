"""Quads in pixels: order of corners, tight fits, intersection over union.

A quad is a float array [4, 2] of x, y in pixels of the final image: first the corner where reading starts, then along the
reading direction and around. Pixel (i, j) covers [j, j + 1) x [i, i + 1), so the ink of one pixel has area 1.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from qvl.pipeline.markup.coordinates import Quad

Points = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rect = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


def rect_quad(rect: Rect, direction: tuple[float, float] = (1.0, 0.0)) -> Points:
    """An upright rectangle as a quad that starts where text running along ``direction`` (an axis) starts."""
    x0, y0, x1, y1 = rect
    dx, dy = direction
    if abs(dx) >= abs(dy):
        corners = (x0, y0, x1, y0, x1, y1, x0, y1) if dx > 0 else (x1, y1, x0, y1, x0, y0, x1, y0)
    else:
        corners = (x1, y0, x1, y1, x0, y1, x0, y0) if dy > 0 else (x0, y1, x0, y0, x1, y0, x1, y1)
    return np.array(corners, float).reshape(4, 2)


def union(rects: Sequence[Rect]) -> Rect:
    """The smallest rectangle around all rectangles."""
    x0, y0, x1, y1 = zip(*rects, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def frame_quad(low: Points, high: Points, direction: tuple[float, float]) -> Points:
    """A rectangle [low, high] in the frame whose x axis is the unit vector ``direction``, as a quad in pixels."""
    dx, dy = direction
    corners = np.array([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])], float)
    return np.asarray(corners @ np.array([(dx, dy), (-dy, dx)], float))


def to_frame(points: Points, direction: tuple[float, float]) -> Points:
    """Points [n, 2] in the frame whose x axis is the unit vector ``direction``."""
    dx, dy = direction
    return np.asarray(points @ np.array([(dx, -dy), (dy, dx)], float))


def tight_quad(ink: Bools, x0: int, y0: int, direction: tuple[float, float]) -> Points | None:
    """The smallest rectangle along ``direction`` around ink pixels, or None without ink.

    ``x0, y0`` is the position of ``ink`` in the image. The rectangle is half a pixel wider than the pixels' centres, so
    that an upright one covers its pixels exactly.
    """
    rows, columns = np.nonzero(ink)
    if len(rows) == 0:
        return None
    centres = np.stack([columns + (x0 + 0.5), rows + (y0 + 0.5)], axis=1)
    frame = to_frame(centres, direction)
    half = 0.5 if abs(direction[0]) in (0.0, 1.0) else 0.35
    return frame_quad(frame.min(axis=0) - half, frame.max(axis=0) + half, direction)


def area(quad: Points) -> float:
    """Signed area in square pixels, positive if the corners run clockwise on the screen."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = quad.tolist()
    return float((cx - ax) * (dy - by) - (dx - bx) * (cy - ay)) / 2


def is_sound(quad: Points) -> bool:
    """Whether the quad is convex and clockwise and has a positive area."""
    corners = quad.tolist()
    for i in range(4):
        (ax, ay), (bx, by), (cx, cy) = corners[i], corners[(i + 1) % 4], corners[(i + 2) % 4]
        if (bx - ax) * (cy - by) - (by - ay) * (cx - bx) <= 0:
            return False
    return True


def iou(first: Points, second: Points) -> float:
    """Intersection over union of two convex quads.

    In OpenCV's single precision: the ledger holds these numbers, rounded to four decimals. The double precision of
    ``qvl.pipeline.markup.quads.quad_iou`` rounds differently on about one line in sixty, and takes six times as long.
    """
    first_area, second_area = abs(area(first)), abs(area(second))
    if min(first_area, second_area) == 0:
        return 0.0
    shared, _ = cv2.intersectConvexConvex(first.astype(np.float32), second.astype(np.float32))
    return float(shared / max(first_area + second_area - shared, 1e-9))


def around(quads: list[Points], direction: tuple[float, float] | None = None) -> Points:
    """The smallest rectangle along ``direction`` that holds all quads; by default along the first quad's heading."""
    direction = direction or heading(quads[0])
    if len(quads) == 1:
        return quads[0]
    frame = to_frame(np.concatenate(quads), direction)
    return frame_quad(frame.min(axis=0), frame.max(axis=0), direction)


def heading(quad: Points) -> tuple[float, float]:
    """The unit vector from the first corner to the second."""
    (ax, ay), (bx, by) = quad[0].tolist(), quad[1].tolist()
    length = math.hypot(bx - ax, by - ay)
    return (1.0, 0.0) if length == 0 else ((bx - ax) / length, (by - ay) / length)


def sides(quad: Points) -> tuple[float, float]:
    """Side lengths in pixels: along and across the reading direction."""
    (ax, ay), (bx, by), (cx, cy), _ = quad.tolist()
    return math.hypot(bx - ax, by - ay), math.hypot(cx - bx, cy - by)


def bounds(quad: Points, width: int, height: int, margin: int = 0) -> tuple[int, int, int, int]:
    """The whole pixels x0, y0, x1, y1 around a quad, clipped to the image."""
    (x0, y0), (x1, y1) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    return (
        max(0, math.floor(x0) - margin), max(0, math.floor(y0) - margin),
        min(width, math.ceil(x1) + margin), min(height, math.ceil(y1) + margin),
    )  # fmt: skip


def fractions(quads: Sequence[Points], width: int, height: int) -> list[Quad]:
    """Eight numbers per quad: fractions of width and height in [0, 1], rounded to 5 decimals (under 0.01 px at 1024)."""
    if not quads:
        return []
    scaled = np.stack(quads) / (width, height)
    numbers: list[list[float]] = scaled.clip(0.0, 1.0).round(5).reshape(len(quads), 8).tolist()
    return [(a, b, c, d, e, f, g, h) for a, b, c, d, e, f, g, h in numbers]
