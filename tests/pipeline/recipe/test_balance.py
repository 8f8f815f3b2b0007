"""Steps of balance in a recipe."""

from typing import Any

import pytest
from pydantic import ValidationError

from qvl.pipeline.recipe.balance import BalanceStep, check_balance_steps


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "exactly one of"),
        ({"cap": {"per": ["url"], "count": 1}, "sample": {"count": 2}}, "exactly one of"),
        ({"cap": {"per": [], "count": 1}}, "at least 1 item"),
        ({"cap": {"per": ["url"], "count": 0}}, "greater than or equal to 1"),
        ({"sample": {"by": "clip"}}, "either `count` or `share`"),
        ({"sample": {"count": 1, "share": 0.5}}, "either `count` or `share`"),
        ({"sample": {"count": 1, "temperature": 0}}, "greater than or equal to 0.000001"),
        ({"sample": {"count": 1, "by": "clip", "temperature": 1e-320}}, "greater than or equal to 0.000001"),
        ({"sample": {"share": 1e-7}}, "greater than or equal to 0.000001"),
        ({"top": {"by": "clip", "share": 1e-9}}, "greater than or equal to 0.000001"),
        ({"top": {"by": "clip", "share": 1.5}}, "less than or equal to 1"),
    ],
)
def test_step_when_it_makes_no_sense_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BalanceStep.model_validate({"name": "step", **rule})


def test_identity_of_a_step_leaves_out_defaults() -> None:
    chosen = BalanceStep.model_validate({"name": "d", "cap": {"per": "url", "count": 3, "missing": "keep"}, "seed": 0})
    assert chosen.identity() == {"name": "d", "cap": {"per": ["url"], "count": 3}}
    assert chosen.reason == "balanced:d"


def test_steps_of_one_name_are_refused() -> None:
    one = BalanceStep.model_validate({"name": "d", "sample": {"count": 3}})
    with pytest.raises(ValueError, match="two steps have the name d"):
        check_balance_steps((one, one))
