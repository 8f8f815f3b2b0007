"""Numbers at a glance, and the one look of all tables."""

import io

import pytest
from rich.console import Console

from qvl.pipeline.commands.tables import count, new_table


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (350, "350"), (9_999, "9,999"), (12_345, "12.3k"), (999_600, "1,000k"), (77_830_000, "77.8M"),
     (1.54e9, "1.54B"), (3.1e12, "3.1T"), (2_500.4, "2,500")],
)  # fmt: skip
def test_numbers_have_three_figures(number: float, said: str) -> None:
    assert count(number) == said


def test_words_stand_left_and_numbers_right() -> None:
    table = new_table("Parts", ["part"], ["samples"])
    table.add_row("a", "7")
    table.add_row("longer", "1,000")
    console = Console(width=40, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    title, head, _, *rows = [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]
    assert title == "Parts" and head.split() == ["part", "samples"]
    assert rows == ["a" + " " * 13 + "7", "longer" + " " * 4 + "1,000"]
