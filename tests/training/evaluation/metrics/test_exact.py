"""Exact match of answers."""

from qvl.training.evaluation.metrics.exact import exact, gqa_answer


def test_exact_match_when_the_set_is_gqa_shortens_the_answer() -> None:
    assert exact(" Yes ", ["yes"]) == 1.0
    assert exact("yes!", ["yes"]) == 0.0
    assert gqa_answer("The man is wearing a hat. He smiles") == "hat"
    assert gqa_answer("top of the table") == "table"
    assert gqa_answer("Left, no right") == "left"
