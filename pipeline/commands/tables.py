"""Shared by all commands that print figures: the style of tables, and short numbers."""

from rich import box
from rich.table import Table


def new_table(title: str, names: list[str], numbers: list[str]) -> Table:
    """An empty table: columns of text on the left, columns of numbers on the right."""
    table = Table(
        title=title, title_justify="left", title_style="bold", caption_justify="left", caption_style="dim",
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False,
    )  # fmt: skip
    for name in names:
        table.add_column(name, overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def count(number: float) -> str:
    """1.54B, 77.8M, 12.3k, 350."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            unit = 1e3 if letter == "k" else size
            return f"{number / unit:,.3g}{letter}" if number / unit < 999.5 else f"{number / unit:,.0f}{letter}"
    return f"{number:,.0f}"
