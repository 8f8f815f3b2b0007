"""Forms filled by Faker."""

from typing import Literal

import pytest

from qvl.synth_ocr.scene.forms import form_lines, form_plan
from tests.synth_ocr.scene.scenes import generator


@pytest.mark.parametrize("language", ["en", "zh"])
def test_form_lines_when_seeds_are_equal_are_equal(language: Literal["en", "zh"]) -> None:
    forms = [form_lines(language, generator(index)) for index in range(6)]
    assert (
        forms == [form_lines(language, generator(index)) for index in range(6)]
        and len({len(form) for form in forms}) > 1
    )
    assert all(line and "\n" not in line for form in forms for line in form)


def test_form_plan_has_a_box_for_every_line_inside_the_area() -> None:
    plan = form_plan(["Title", "a longer line of text", "end"], (10, 20, 300, 200), generator(1))
    assert [box.align for box in plan.boxes] == ["center", "left", "left"]
    assert all(
        box.x >= 10 and box.x + box.width <= 310 and box.y >= 20 and box.y + box.height <= 220 for box in plan.boxes
    )
