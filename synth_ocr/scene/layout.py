"""Where the lines of a document go: SynthDoG's stacked grids, columns, tables, signs and vertical text."""

from dataclasses import dataclass, field

import numpy as np

from qvl.synth_ocr.scene.settings import TextLayout


@dataclass
class Box:
    """Room for one line. ``height`` is its ascent plus descent; for vertical text, ``width`` is that of the column."""

    x: float
    y: float
    width: float
    height: float
    align: str = "left"
    group: int = 0  # paragraph
    vertical: bool = False
    share: float = 1.0  # of the box's length that text may take


@dataclass
class Plan:
    """The kind of layout, its boxes in reading order, and the rules to draw (x0, y0, x1, y1)."""

    kind: str
    boxes: list[Box]
    rules: list[tuple[float, float, float, float]] = field(default_factory=list)


Area = tuple[float, float, float, float]  # left, top, width, height


def plan(settings: TextLayout, kind: str, area: Area, rng: np.random.Generator) -> Plan:
    """A layout of the given kind inside ``area``."""
    if kind == "columns":
        return columns(settings, area, rng)
    if kind == "table":
        return table(settings, area, rng)
    if kind == "sign":
        return sign(settings, area, rng)
    if kind == "vertical":
        return vertical(settings, area, rng)
    return grid_stack(settings, area, rng)


def between(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """A uniform random number in the range."""
    return float(rng.uniform(limits[0], limits[1]))


def grid_stack(settings: TextLayout, area: Area, rng: np.random.Generator) -> Plan:
    """SynthDoG's layout: grids below each other, each read column by column, in SynthDoG's order of generation."""
    left, top, width, height = area
    spacing = between(settings.stack_spacing, rng) * min(width, height)
    share = 1.0 if rng.random() < settings.stack_full else between(settings.stack_fill, rng)
    grids: list[list[Box]] = []
    used = 0.0
    while (room := height * share - used) > 0:
        size = between(settings.text_scale, rng) * min(width, height)
        if size > width or size > room or size < 1:
            break
        grid = _grid(settings, size, width, room, rng)
        if not grid:
            break
        grids.append([Box(b.x, b.y + used, b.width, b.height, b.align) for b in grid])
        used = max(b.y + b.height for b in grids[-1]) + spacing
    space = rng.random(len(grids) + 1)
    shifts = np.cumsum(space * max(height - max(used - spacing, 0.0), 0.0) / space.sum())
    boxes = []
    for group, (grid, shift) in enumerate(zip(grids, shifts.tolist(), strict=False)):
        for box in grid:
            boxes.append(Box(left + box.x, top + box.y + shift, box.width, box.height, box.align, group))
    return _with_random_shares(Plan("grid_stack", boxes), settings, rng)


def _grid(settings: TextLayout, size: float, width: float, height: float, rng: np.random.Generator) -> list[Box]:
    """The first of the shuffled grid sizes (rows x columns) that fits, with gaps of one line between rows."""
    for number in rng.permutation(settings.max_row * settings.max_col).tolist():
        rows, cols = number // settings.max_col + 1, number % settings.max_col + 1
        if size * (cols * 2 - 1) <= width and size * (rows * 2 - 1) <= height:
            break
    else:
        return []
    widths = _widths(settings, size, width, cols, rng)
    edges = np.concatenate(([0.0], np.cumsum(widths)))
    boxes = []
    for col in range(cols):
        align = settings.align[int(rng.integers(len(settings.align)))]
        x = float(edges[col * 2 + 1])
        boxes += [Box(x, row * 2 * size, float(edges[col * 2 + 2]) - x, size, align) for row in range(rows)]
    return boxes


def _widths(settings: TextLayout, size: float, width: float, cols: int, rng: np.random.Generator) -> np.ndarray:
    """Widths of gap, column, gap, ..., column, gap in pixels, shared out by SynthDoG's rule."""
    bound = max(1 - size / width * (cols - 1), 0.0)
    full = rng.random() < settings.full
    filled = min(max(1.0 if full else between(settings.fill, rng), 0.0), bound)
    padding = int(rng.integers(4)) if cols > 1 else int(rng.choice([0, 3]))
    weights = np.zeros(cols * 2 + 1)
    weights[1:-1] = size / width
    parts = 1 - rng.random(cols * 2 + 1)
    parts[0] *= padding // 2
    parts[-1] *= padding % 2
    parts[1::2] *= max(filled - weights[1::2].sum(), 0.0) / parts[1::2].sum()
    if parts[::2].sum() > 0:
        parts[::2] *= max(1 - filled - weights[::2].sum(), 0.0) / parts[::2].sum()
    return np.asarray((weights + parts) * width)


def _with_random_shares(layout: Plan, settings: TextLayout, rng: np.random.Generator) -> Plan:
    for box in layout.boxes:
        box.share = between(settings.textbox_fill, rng)
    return layout


def columns(settings: TextLayout, area: Area, rng: np.random.Generator) -> Plan:
    """Running text with paragraphs, in one to three columns of full lines."""
    left, top, width, height = area
    count = int(rng.integers(1, 4))
    size = max(10.0, between(settings.text_scale, rng) * min(width, height) * 0.6)
    gap, leading = size * 1.5, size * between((1.1, 1.6), rng)
    each = (width - gap * (count - 1)) / count
    boxes, group = [], 0
    for column in range(count):
        y = top
        while y + size <= top + height:
            ends = rng.random() < 0.15
            boxes.append(Box(left + column * (each + gap), y, each, size, "left", group, False, 0.55 if ends else 1.0))
            y += leading * (1.6 if ends else 1.0)
            group += int(ends)
        group += 1
    return Plan("columns", boxes)


def table(settings: TextLayout, area: Area, rng: np.random.Generator) -> Plan:
    """A ruled table, read row by row, with one line per cell."""
    left, top, width, height = area
    cols, rows = int(rng.integers(2, 6)), int(rng.integers(3, 13))
    pitch = min(height / rows, min(width, height) * settings.text_scale[1] * 1.6)
    size = min(pitch * 0.62, width / cols * 0.5)
    edges = np.cumsum(rng.uniform(0.6, 1.4, cols))
    edges = np.concatenate(([0.0], edges / edges[-1])) * width + left
    rules = [(left, top + r * pitch, left + width, top + r * pitch) for r in range(rows + 1)]
    if rng.random() < 0.6:
        rules += [(float(x), top, float(x), top + rows * pitch) for x in edges]
    boxes = []
    for row in range(rows):
        for col in range(cols):
            x0, x1, y = float(edges[col]) + size * 0.3, float(edges[col + 1]) - size * 0.3, top + row * pitch
            boxes.append(Box(x0, y + (pitch - size) / 2, max(x1 - x0, 0.0), size, "left", row * cols + col, False, 0.9))
    return Plan("table", boxes, rules)


def sign(settings: TextLayout, area: Area, rng: np.random.Generator) -> Plan:
    """One to three large centred lines."""
    left, top, width, height = area
    count = int(rng.integers(1, 4))
    size = min(height / (count * 1.5), min(width, height) * between((0.1, 0.22), rng))
    start = top + (height - count * size * 1.3) * float(rng.random())
    return Plan(
        "sign", [Box(left, start + i * size * 1.3, width, size, "center", 0, False, 0.95) for i in range(count)]
    )


def vertical(settings: TextLayout, area: Area, rng: np.random.Generator) -> Plan:
    """Vertical Chinese text in columns from right to left."""
    left, top, width, height = area
    size = max(16.0, between(settings.text_scale, rng) * min(width, height))
    pitch = size * between((1.3, 1.8), rng)
    count = int(rng.integers(1, max(2, int(width / pitch)) + 1))
    boxes = []
    for number in range(min(count, max(1, int(width / pitch)))):
        boxes.append(
            Box(left + width - size - number * pitch, top, size, height, "left", 0, True, between((0.6, 1.0), rng))
        )
    return Plan("vertical", boxes)
