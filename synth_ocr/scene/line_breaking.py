"""Breaks text into lines: words are never cut; Chinese breaks by its own rules and gets no blanks."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qvl.synth_ocr.page.text import WIDE

# GB/T 15834 and JIS X 4051: signs that must not begin and signs that must not end a line
CLOSING = "，。、；：？！）》」』】〉〕〗”’…—～·％‰℃,.;:?!)]}>%"
OPENING = "（《「『【〈〔〖“‘([{<￥"
NARROW = re.compile(rf"[{re.escape(OPENING)}]*(?:(?!{WIDE.pattern})\S)+[{re.escape(CLOSING)}]*")
FULL = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+")  # full-width numbers and words are not broken either


@dataclass(frozen=True)
class Unit:
    """Text that stays on one line. ``blank``: whether a blank precedes it, unless it begins the line."""

    text: str
    blank: bool


def units(text: str) -> Iterator[Unit]:
    """The pieces of a text between which a line may break."""
    for word in text.split():
        blank = True
        for piece in _pieces(word):
            yield Unit(piece, blank)
            blank = False


def _pieces(word: str) -> Iterator[str]:
    """A word without wide characters is one piece; otherwise each wide character, number and word is one, with its signs."""
    if not WIDE.search(word):
        yield word
        return
    position, pending = 0, ""
    while position < len(word):
        match = FULL.match(word, position) if WIDE.match(word[position]) else NARROW.match(word, position)
        piece = match[0] if match else word[position]
        position += len(piece)
        if pending and (piece[0] in CLOSING or pending[-1] in OPENING):
            pending += piece
        else:
            if pending:
                yield pending
            pending = piece
    if pending:
        yield pending


def fill_line(source: list[Unit], start: int, measure: Callable[[str], float], room: float) -> tuple[str, int]:
    """The line of as many units from ``start`` as fit into ``room``, and the index of the unit after it.

    A blank between two wide units comes from the text and is kept.
    """
    line, index = "", start
    while index < len(source):
        unit = source[index]
        longer = f"{line} {unit.text}" if line and unit.blank else line + unit.text
        if measure(longer) > room:
            break
        line, index = longer, index + 1
    return line, index
