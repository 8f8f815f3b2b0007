"""Relaxed accuracy of answers about charts."""

from qvl.training.evaluation.metrics.relaxed import relaxed


def test_relaxed_accuracy_when_numbers_differ_by_at_most_five_percent_accepts_them() -> None:
    assert relaxed("105", ["100"]) == 1.0
    assert relaxed("105.1", ["100"]) == 0.0
    assert relaxed("95", ["100"]) == 1.0
    assert relaxed("94.9", ["100"]) == 0.0
    assert relaxed("50%", ["0.5"]) == 1.0
    assert relaxed("Blue ", ["blue"]) == 1.0
    assert relaxed("0", ["0"]) == 1.0
    assert relaxed("0.0", ["0"]) == 0.0  # a share of nothing has no 5 per cent: words are compared
    assert relaxed("7", ["x", "7.1"]) == 1.0
