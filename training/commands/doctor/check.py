"""The result of one check."""

from dataclasses import dataclass
from typing import Literal

CheckState = Literal["ok", "missing", "none"]


@dataclass(frozen=True, slots=True)
class Check:
    """``state`` "none": it is absent, and nothing needs it. ``needed``: nothing works without it. ``mend``: the command that
    fixes it (the name of the key in `--json`).

    ``part``: what it belongs to (base, curate, ocr, train, ...).
    """

    part: str
    name: str
    state: CheckState
    found: str
    mend: str | None = None
    needed: bool = False


def first_line(text: str) -> str:
    """The first line that is not blank, cut to a readable length."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:120]
