"""What every recipe refuses, whatever its fields."""

from typing import Any

import pytest
from pydantic import ValidationError

from qvl.pipeline.base.recipe_model import RecipeModel


class Small(RecipeModel):
    number: int | None = None
    numbers: tuple[int, ...] = ()
    share: float = 0.0


@pytest.mark.parametrize(
    ("content", "location"),
    [
        ({"number": 2**63}, ("number",)),
        ({"number": -(2**63) - 1}, ("number",)),
        ({"numbers": [1, 2**64]}, ("numbers",)),
        ({"share": float("nan")}, ("share",)),
        ({"share": float("inf")}, ("share",)),
        ({"other": 1}, ("other",)),
    ],
)
def test_value_when_out_of_range_or_unknown_is_refused_at_its_field(content: Any, location: tuple[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Small.model_validate(content)
    assert [mistake["loc"] for mistake in caught.value.errors()] == [location]


def test_value_when_it_just_fits_is_kept() -> None:
    assert Small.model_validate({"number": 2**63 - 1, "numbers": [-(2**63)]}).number == 2**63 - 1
