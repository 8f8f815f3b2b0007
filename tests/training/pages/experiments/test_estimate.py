"""Means over seeds and questions, and an error that is as large as the spread of repeated experiments."""

from dataclasses import replace

import numpy as np
import pytest

from qvl.training.pages.experiments.estimate import difference, estimate
from qvl.training.pages.experiments.measure import AnswerValues


def run(scores: list[float | None], together: int = 1) -> AnswerValues:
    """The scores of one run; ``together`` consecutive questions are about one picture. A loss is ten times the score."""
    absent: list[float | None] = [None] * len(scores)
    losses = [None if score is None else 10 * score for score in scores]
    pictures = [float(index // together) for index in range(len(scores))]
    return AnswerValues(pictures, scores, absent, losses, [10.0] * len(scores), absent, absent)


def test_estimate_when_computed_by_hand_has_the_same_mean_and_errors() -> None:
    found = estimate([run([1.0, 0.0, 1.0, 1.0]), run([1.0, 0.0, 0.0, 1.0])], "score", [0, 1, 2, 3])
    assert found is not None
    assert found.seeds == (0.75, 0.5) and found.mean == 0.625
    assert found.seeds_error == pytest.approx(0.125)  # standard deviation 0.17678 over the root of 2
    means = np.array([1, 0, 0.5, 1])
    assert found.questions_error == pytest.approx(means.std(ddof=1) / 2, abs=1e-5)
    assert found.error == pytest.approx(np.hypot(found.seeds_error, found.questions_error), abs=1e-5)


def test_estimate_when_a_question_lacks_the_measure_leaves_it_out() -> None:
    found = estimate([run([1.0, None, 0.0])], "score", [0, 1, 2])
    assert found is not None and found.questions == 2 and found.mean == 0.5 and found.seeds_error is None
    assert estimate([run([None])], "score", [0]) is None
    assert estimate([], "score", [0]) is None


def test_estimate_when_measure_is_loss_is_per_token() -> None:
    values = replace(run([None, None]), loss=[2.0, 9.0], tokens=[1.0, 3.0])
    found = estimate([values], "loss", [0, 1])
    assert found is not None and found.mean == 2.75


def test_difference_when_questions_are_equal_cancels_their_spread() -> None:
    mine = [run([1.0, 0.5, 0.25]), run([0.9, 0.4, 0.15])]
    other = [run([0.8, 0.3, 0.05]), run([0.7, 0.2, -0.05])]
    found = difference(mine, other, "score", [0, 1, 2])
    assert found is not None and found.mean == pytest.approx(0.2) and found.error == pytest.approx(0.0, abs=1e-5)
    alone = estimate(mine, "score", [0, 1, 2])
    assert alone is not None and alone.error > 0.1


@pytest.mark.parametrize(("seeds", "questions", "together"), [(3, 60, 1), (5, 20, 1), (3, 120, 4)])
def test_error_when_experiments_are_repeated_equals_the_spread_of_their_means(
    seeds: int, questions: int, together: int
) -> None:
    """Many experiments with new seeds and new questions: their means spread as the error says, or a little less."""
    random, means, errors = np.random.default_rng(7), [], []
    for _ in range(600):
        of_seed, of_question = random.normal(0, 0.3, seeds), random.normal(0, 1, questions // together).repeat(together)
        value = of_seed[:, None] + of_question + random.normal(0, 0.5, (seeds, questions))
        found = estimate([run(row.tolist(), together) for row in value], "score", list(range(questions)))
        assert found is not None
        means.append(found.mean)
        errors.append(found.error**2)
    assert 0.97 < np.sqrt(np.mean(errors)) / np.std(means) < 1.15
