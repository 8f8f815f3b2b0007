"""Claims of the paper, judged by the error of a change, and the cells that a table outlines."""

import pytest

from qvl.training.evaluation.scores import SetScore
from qvl.training.pages.journey.progress import conclusions, score_table
from tests.training.pages.journey.made_losses import FALLING, MODELS, STAGES, losses


@pytest.mark.parametrize(
    ("after", "error", "said"),
    [
        (4.0, 0.1, "yes"),
        (4.95, 0.1, "no: within the error"),
        (5.5, 0.1, "no: it rose"),
        (4.0, 1.0, "no: within the error"),
    ],
)
def test_a_claim_holds_where_the_loss_fell_by_more_than_its_error(after: float, error: float, said: str) -> None:
    table = conclusions(losses(FALLING | {"pretrain": after}, error), STAGES)
    assert "Captions in stage 1" in table
    assert f"<td>{said}</td>" in table
    assert f"<td>{after - 5:+.2f} ± {error:.2f}</td><td>+0.500 ± 0.000</td>" in table
    assert "Reading" not in table  # was not measured


def test_page_outlines_the_cell_that_the_paper_reasons_about() -> None:
    sets = {
        model: {"caption": SetScore("cider", 3, 0, 5.0 if model == "multitask" else 1.0, 0.1, {}, {})}
        for model in MODELS
    }
    row = score_table(sets, STAGES).split("<tbody>")[1]
    cells = row.split("<td>")[1:]
    assert ["expected" in cell for cell in cells] == [False, False, False, False, True, False, False]
    assert ["best" in cell for cell in cells] == [False, False, False, False, False, True, False]
