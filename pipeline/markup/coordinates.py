"""Conversion of coordinates between fractions of width and height and the numbers of each dialect.

``qwen-vl`` writes ``round(999 * x / W)`` and reads ``v / 999 * W``, the exact inverse of the paper's evaluation.
Everything else works with fractions; only ``dialects`` and ``parsing`` call these functions to write and read text.
"""

from math import ceil, floor, sqrt

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of width and height
Quad = tuple[float, float, float, float, float, float, float, float]  # four corners, clockwise from the top left
Cells = tuple[int, int, int, int]
Size = tuple[int, int]  # width, height in pixels

QWEN_VL_SCALE = 999
QWEN2_VL_SCALE = 1000
KOSMOS_SIDE = 32
RESIZE_STEP = 28
MIN_PIXELS = 4 * RESIZE_STEP**2
MAX_PIXELS = 16_384 * RESIZE_STEP**2


def to_cell(fraction: float, scale: int) -> int:
    """The integer that represents a fraction, clamped to 0..scale. Raises ValueError for NaN."""
    cell = round(scale * fraction)
    return cell if 0 <= cell <= scale else (0 if cell < 0 else scale)


def from_cell(value: float, scale: int) -> float:
    """The fraction that an integer represents."""
    return value / scale


def box_cells(box: Box, across: int, down: int) -> Cells:
    """Integers of a box on a grid of 0..across by 0..down, x1 < x2 and y1 < y2: a side that collapses becomes one cell.

    Raises ValueError if the corners of the box are swapped.
    """
    x1, y1, x2, y2 = box
    if not (x1 <= x2 and y1 <= y2):
        raise ValueError(f"{box}: corners are swapped")
    if x1 >= 0 and y1 >= 0 and x2 <= 1 and y2 <= 1:
        left, top, right, bottom = round(across * x1), round(down * y1), round(across * x2), round(down * y2)
    else:
        left, right = to_cell(x1, across), to_cell(x2, across)
        top, bottom = to_cell(y1, down), to_cell(y2, down)
    if left >= right:
        left, right = _apart(left, across)
    if top >= bottom:
        top, bottom = _apart(top, down)
    return left, top, right, bottom


def _apart(cell: int, scale: int) -> tuple[int, int]:
    return (cell, cell + 1) if cell < scale else (cell - 1, cell)


def collapses(box: Box, scale: int = QWEN_VL_SCALE) -> bool:
    """Whether a side of the box collapses on the grid, so that writing the box would widen it."""
    x1, y1, x2, y2 = box
    if (x2 - x1) * scale > 2 and (y2 - y1) * scale > 2:
        return False
    return to_cell(x1, scale) >= to_cell(x2, scale) or to_cell(y1, scale) >= to_cell(y2, scale)


def box_iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in 0..1 and in any unit; 0 if either is empty or has swapped corners."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (first[2] - first[0]) * (first[3] - first[1]) + (second[2] - second[0]) * (second[3] - second[1])
    return shared / (areas - shared)


def resized(width: int, height: int, least: int = MIN_PIXELS, most: int = MAX_PIXELS) -> Size:
    """The size that Qwen2.5-VL sees: sides in multiples of 28 pixels, area between ``least`` and ``most`` pixels."""
    wide, high = (max(RESIZE_STEP, round(side / RESIZE_STEP) * RESIZE_STEP) for side in (width, height))
    if wide * high > most:
        factor = sqrt(width * height / most)
        wide, high = (max(RESIZE_STEP, floor(s / factor / RESIZE_STEP) * RESIZE_STEP) for s in (width, height))
    elif wide * high < least:
        factor = sqrt(least / (width * height))
        wide, high = (ceil(side * factor / RESIZE_STEP) * RESIZE_STEP for side in (width, height))
    return wide, high


def kosmos_indices(box: Box) -> tuple[int, int]:
    """Kosmos-2's location tokens: the cell of the upper left corner and that of the lower right one, on 32 x 32."""
    x1, y1, x2, y2 = box
    left, top = (_within(floor(value * KOSMOS_SIDE)) for value in (x1, y1))
    right, bottom = (_within(ceil(value * KOSMOS_SIDE - 1)) for value in (x2, y2))
    return top * KOSMOS_SIDE + left, max(top, bottom) * KOSMOS_SIDE + max(left, right)


def kosmos_box(first: int, last: int) -> Box:
    """The box of two location tokens: from cell centre to cell centre, or whole cells if it is one cell wide or high."""
    top, left = divmod(first, KOSMOS_SIDE)
    bottom, right = divmod(last, KOSMOS_SIDE)
    if left == right or top == bottom:
        return left / KOSMOS_SIDE, top / KOSMOS_SIDE, (right + 1) / KOSMOS_SIDE, (bottom + 1) / KOSMOS_SIDE
    x1, y1, x2, y2 = ((value + 0.5) / KOSMOS_SIDE for value in (left, top, right, bottom))
    return x1, y1, x2, y2


def _within(cell: int) -> int:
    return min(KOSMOS_SIDE - 1, max(0, cell))


def to_square(box: Box, size: Size) -> Box:
    """The box as fractions of the image padded to a centred square (Shikra)."""
    x1, y1, x2, y2 = box
    (width, height), side = size, max(size)
    across, down = (side - width) / 2, (side - height) / 2
    return (
        (x1 * width + across) / side,
        (y1 * height + down) / side,
        (x2 * width + across) / side,
        (y2 * height + down) / side,
    )


def from_square(box: Box, size: Size) -> Box:
    """The inverse of ``to_square``."""
    x1, y1, x2, y2 = box
    (width, height), side = size, max(size)
    across, down = (side - width) / 2, (side - height) / 2
    return (
        (x1 * side - across) / width,
        (y1 * side - down) / height,
        (x2 * side - across) / width,
        (y2 * side - down) / height,
    )
