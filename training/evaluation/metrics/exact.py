"""Exact match of short answers, and the shortening that the released GQA evaluation does before it."""

import re
from collections.abc import Sequence

ENDS = re.compile(r"[.,!]")
LEADS = ("is ", "are ", "a ", "an ", "the ")


def exact(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if any answer is equal except for case and outer blanks, else 0.0."""
    return float(any(prediction.strip().lower() == answer.strip().lower() for answer in answers))


def gqa_answer(prediction: str) -> str:
    """A sentence shortened to the words after ``is``, ``are`` and articles, before ``of`` and the first stop.

    As released, these are also found inside words (``visa card`` becomes ``card``).
    """
    answer = ENDS.split(prediction.strip(), maxsplit=1)[0].lower()
    for lead in LEADS:
        if lead in answer:
            answer = answer.split(lead)[1]
    return answer.split(" of", maxsplit=1)[0].strip()
