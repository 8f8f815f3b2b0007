"""The paper's tables, and the shares of tasks and sources in them."""

import pytest

from qvl.training.pages.mix.paper import TABLE2, TABLE3, source_share, task_share


def test_paper_tables_add_up_and_give_the_share_of_a_task_or_source() -> None:
    assert sum(millions for _, millions in TABLE3.values()) == pytest.approx(76.8)
    assert sum(millions for _, millions in TABLE2.values()) == pytest.approx(1417.4)
    assert task_share("ocr") == pytest.approx(24.8 / 76.8)
    assert task_share("chat") is None
    assert source_share("LAION-en") == ("LAION-en", pytest.approx(280 / 1417.4))
    assert source_share("laion_zh") == ("LAION-zh", pytest.approx(105 / 1417.4))
    assert source_share("emoji") is None
