"""Tables and progress bars: data cannot control the terminal, and widths are those of what is shown."""

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from qvl.pipeline.base.screen import Screen
from tests.pipeline.base.test_terminal import HOSTILE


def raw(printed: str) -> list[str]:
    """Characters that would control a terminal."""
    return [each for each in printed if not each.isprintable() and each != "\n"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_table_when_every_text_is_hostile_shows_escapes(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(text, title=text, caption=text)
    table.add_column(Text(text))
    table.add_row(text, Text(text))
    Screen().print(table)
    assert not raw(capsys.readouterr().out)


def test_table_when_a_cell_has_controls_is_as_wide_as_its_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("x")
    table.add_row("\x1b[31m")
    table.add_row("12345678")
    Screen().print(table)
    assert len({len(line) for line in capsys.readouterr().out.splitlines()}) == 1


def test_print_when_text_has_newlines_and_markup_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().print("[red]a[/]\nb :smile:", style="bold")
    assert capsys.readouterr().out == "[red]a[/]\\nb :smile:\n"


def test_progress_when_description_is_hostile_shows_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(stderr=True)
    with Progress(TextColumn("{task.description}"), console=screen) as progress:
        progress.add_task("\x1b[2J\u202ex")
    assert not raw(capsys.readouterr().err)
