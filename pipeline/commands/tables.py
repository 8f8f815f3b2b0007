"""What figures printed in a terminal share: the look of their tables, and numbers that people read at a glance."""

from rich import box
from rich.table import Table


def new_table(title: str, words: list[str], numbers: list[str]) -> Table:
    """An empty table: columns of words on the left, of numbers on the right."""
    made = Table(
        title=title, title_justify="left", title_style="bold", caption_justify="left", caption_style="dim",
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), show_edge=False,
    )  # fmt: skip
    for word in words:
        made.add_column(word, overflow="fold")
    for number in numbers:
        made.add_column(number, justify="right")
    return made


def count(number: float) -> str:
    """1.54B, 77.8M, 12.3k, 350."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            unit = 1e3 if letter == "k" else size
            return f"{number / unit:,.3g}{letter}" if number / unit < 999.5 else f"{number / unit:,.0f}{letter}"
    return f"{number:,.0f}"
