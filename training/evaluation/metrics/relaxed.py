"""Relaxed accuracy of chart questions: numbers may be off by 5% (Methani et al. 2020; ChartQA), words may not."""

from collections.abc import Sequence

TOLERANCE = 0.05


def relaxed(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if any answer is met, else 0.0. A percentage is read as hundredths.

    The released evaluation swaps prediction and answer, so its 5% are of the prediction; here they are of the answer, as
    the papers define it.
    """
    return float(any(_meets(prediction.strip(), answer.strip()) for answer in answers))


def _meets(prediction: str, answer: str) -> bool:
    found, wanted = _number(prediction), _number(answer)
    if found is not None and wanted:
        return abs(found - wanted) / abs(wanted) <= TOLERANCE
    return prediction.lower() == answer.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
