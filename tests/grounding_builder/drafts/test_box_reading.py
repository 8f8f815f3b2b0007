"""What the four numbers of a box mean, and files whose boxes contradict it."""

import random

import pytest

from qvl.grounding_builder.drafts.box_reading import (
    READINGS,
    SCALES,
    Reading,
    ReadingTest,
    corners_in_pixels,
    four_numbers,
)
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup.coordinates import Box

SIZE = (640.0, 480.0)


def written(corners: Box, reading: Reading) -> Box:
    """The numbers of a box given by its corners in pixels, as a file with this reading has them."""
    x1, y1, x2, y2 = corners
    scale = {"pixels": (1, 1), "fraction": SIZE, "thousand": (SIZE[0] / 1000, SIZE[1] / 1000)}[reading.scale]
    x1, y1, x2, y2 = x1 / scale[0], y1 / scale[1], x2 / scale[0], y2 / scale[1]
    return {
        "xyxy": (x1, y1, x2, y2),
        "yxyx": (y1, x1, y2, x2),
        "xywh": (x1, y1, x2 - x1, y2 - y1),
        "yxhw": (y1, x1, y2 - y1, x2 - x1),
        "cxcywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
    }[reading.order]


def boxes(count: int) -> list[Box]:
    """Corners of random boxes inside the image."""
    rng = random.Random(0)
    found = []
    for _ in range(count):
        (x1, x2), (y1, y2) = (sorted(rng.sample(range(int(side)), 2)) for side in SIZE)
        found.append((float(x1), float(y1), float(x2), float(y2)))
    return found


@pytest.mark.parametrize("reading", READINGS, ids=map(str, READINGS))
def test_corners_in_pixels_when_written_in_any_reading_are_the_same(reading: Reading) -> None:
    corners = (64.0, 48.0, 320.0, 240.0)
    assert corners_in_pixels(written(corners, reading), reading, *SIZE) == pytest.approx(corners)


@pytest.mark.parametrize("reading", READINGS, ids=map(str, READINGS))
def test_check_when_the_file_has_another_reading_names_it_with_both_counts(reading: Reading) -> None:
    for declared in (Reading("xywh", "pixels"), Reading("xyxy", "fraction")):
        test = ReadingTest(declared)
        test.add_all([written(box, reading) for box in boxes(200)], SIZE)
        if declared == reading:
            test.check("file", "remedy")
            continue
        seen = str(reading) if reading.scale == "pixels" else f"[^;]* {SCALES[reading.scale]}"
        message = rf"file: of 200 boxes, \d+ do not fit their image as {declared}, and 0 as {seen}; remedy"
        if reading == Reading("yxyx", "fraction") and declared.scale == "fraction":
            test.check("file", "remedy")  # cannot be told apart
            continue
        with pytest.raises(DataError, match=message):
            test.check("file", "remedy")


@pytest.mark.parametrize("faulty", [(-50, -50, 20, 20), (0, 0, 0, 0), (600, 400, 300, 300), (float("nan"),) * 4])
def test_check_when_a_few_boxes_are_faulty_accepts_the_file(faulty: Box) -> None:
    test = ReadingTest(Reading("xywh", "pixels"))
    test.add_all([written(box, test.declared) for box in boxes(50)], SIZE)
    test.add_all([faulty] * 20, SIZE)
    test.check("file", "remedy")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "box:missing"),
        ([1, 2, 3], "box:malformed"),
        ([1, 2, 3, "4"], "box:malformed"),
        ([1, 2, 3, True], "box:malformed"),
        ([1, 2, 3, 10**400], "box:malformed"),
        ("1234", "box:malformed"),
        ({}, "box:malformed"),
    ],
)
def test_four_numbers_when_the_value_is_not_a_box_says_why(value: object, reason: str) -> None:
    assert four_numbers(value) == reason


def test_four_numbers_when_numbers_are_whole_are_the_same_as_floats() -> None:
    assert four_numbers([1, 2.5, 3, 4]) == four_numbers((1.0, 2.5, 3.0, 4.0)) == (1.0, 2.5, 3.0, 4.0)
