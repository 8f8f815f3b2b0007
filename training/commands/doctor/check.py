"""One line of the doctor's."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "none"]


@dataclass(frozen=True)
class Check:
    """``state`` none: it is not there and nothing needs it. ``needed``: nothing works without it. ``mend``: one command.

    ``part``: what it belongs to (base, curate, ocr, train, ...).
    """

    part: str
    name: str
    state: State
    found: str
    mend: str | None = None
    needed: bool = False


def first_line(text: str) -> str:
    """The first line that says anything, cut to a readable length."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:120]
