"""The result of one check."""

from dataclasses import dataclass
from typing import Literal

CheckState = Literal["ok", "missing", "none"]


@dataclass(frozen=True, slots=True)
class Check:
    """``part``: what the check belongs to (base, curate, ocr, train, ...). ``state``: "none" means that the thing is absent
    and that nothing needs it. ``found``: what is there, or why the check failed. ``repair``: the command that fixes it.
    ``needed``: nothing works without it.
    """

    part: str
    name: str
    state: CheckState
    found: str
    repair: str | None = None
    needed: bool = False


def first_line(text: str) -> str:
    """The first line that is not blank, cut to a readable length."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:120]
