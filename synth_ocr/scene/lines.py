"""Text to lines: words are never cut, Chinese breaks by its own rules and gets no blanks."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qvl.synth_ocr.page.text import WIDE

# GB/T 15834 and JIS X 4051: what may not begin and what may not end a line
CLOSING = "，。、；：？！）》」』】〉〕〗”’…—～·％‰℃,.;:?!)]}>%"
OPENING = "（《「『【〈〔〖“‘([{<￥"
NARROW = re.compile(rf"[{re.escape(OPENING)}]*(?:(?!{WIDE.pattern})\S)+[{re.escape(CLOSING)}]*")
FULL = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+")  # numbers and words in full width are whole, too


@dataclass(frozen=True)
class Unit:
    """Text that stays on one line; ``blank`` stands before it unless it begins the line."""

    text: str
    blank: bool


def units(text: str) -> Iterator[Unit]:
    """The pieces between which a line may end."""
    for word in text.split():
        blank = True
        for piece in _pieces(word):
            yield Unit(piece, blank)
            blank = False


def _pieces(word: str) -> Iterator[str]:
    """A word without wide characters is one piece; else each wide character with its signs, numbers and words whole."""
    if not WIDE.search(word):
        yield word
        return
    place, held = 0, ""
    while place < len(word):
        match = FULL.match(word, place) if WIDE.match(word[place]) else NARROW.match(word, place)
        piece = match[0] if match else word[place]
        place += len(piece)
        if held and (piece[0] in CLOSING or held[-1] in OPENING):
            held += piece
        else:
            if held:
                yield held
            held = piece
    if held:
        yield held


def fill(source: list[Unit], start: int, measure: Callable[[str], float], room: float) -> tuple[str, int]:
    """As many units from ``start`` as fit into ``room``; returns the line and the unit after it.

    A blank before a wide unit that follows a wide one is real: it stands in the text.
    """
    line, place = "", start
    while place < len(source):
        unit = source[place]
        longer = f"{line} {unit.text}" if line and unit.blank else line + unit.text
        if measure(longer) > room:
            break
        line, place = longer, place + 1
    return line, place
