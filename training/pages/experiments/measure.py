"""What a model's answers are worth, question by question: score, IoU, loss, language, agreement between two languages."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qvl.pipeline.markup.coordinates import box_iou
from qvl.training.evaluation.metrics.box import THRESHOLD
from qvl.training.evaluation.metrics.words import words
from qvl.training.evaluation.samples.sample import Answer
from qvl.training.evaluation.scoring import first_box, plain_text
from qvl.training.heldout.loss import Loss
from qvl.training.pages.experiments.questions import Question

Values = dict[str, list[float | None]]
"""A list per measure, in the order of the questions, None where it does not apply; ``tokens`` weigh ``loss``,
``picture`` numbers what is asked about: questions about one picture are one draw."""


def values(
    asked: Sequence[Question], answers: Sequence[Answer], ranks: Sequence[float], losses: Mapping[str, Loss]
) -> Values:
    """``ranks``: what the evaluation gave each answer (IoU of a box). ``losses`` by the name of the told question."""
    placed = [question.sample.metric == "box" for question in asked]
    told = [losses.get(question.told.task) for question in asked]
    numbers = {image: float(number) for number, image in enumerate(dict.fromkeys(each.image for each in asked))}
    return {
        "picture": [numbers[question.image] for question in asked],
        "score": [float(rank >= THRESHOLD) if box else rank for rank, box in zip(ranks, placed, strict=True)],
        "iou": [rank if box else None for rank, box in zip(ranks, placed, strict=True)],
        "loss": [None if loss is None else loss.loss * loss.tokens for loss in told],
        "tokens": [None if loss is None else float(loss.tokens) for loss in told],
        "wrong_language": wrong_language(asked, answers),
        "agreement": agreement(asked, answers),
    }


def wrong_language(asked: Sequence[Question], answers: Sequence[Answer]) -> list[float | None]:
    """1.0 where an answer has words of true answers in another language and none of its own language's.

    Places have no language. None everywhere where all questions have the same one.
    """
    known: dict[str, set[str]] = defaultdict(set)
    for question in asked:
        if question.sample.metric != "box":
            known[str(question.columns["language"])].update(words(plain_text(question.sample.answers[0])))
    found: list[float | None] = []
    for question, answer in zip(asked, answers, strict=True):
        own = str(question.columns["language"])
        if question.sample.metric == "box" or len(known) < 2:
            found.append(None)
            continue
        said = set(words(plain_text(answer.text)))
        others = set().union(*(each for language, each in known.items() if language != own))
        found.append(float(not said & known[own] and bool(said & others)))
    return found


def agreement(asked: Sequence[Question], answers: Sequence[Answer]) -> list[float | None]:
    """1.0 where the answer means the same as that to the same question in the first language, right or wrong.

    Boxes mean the same at IoU 0.5; a name means what the true answers say that it is called in the other language.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, question in enumerate(asked):
        groups[question.sample.set, question.thing].append(place)
    first = str(asked[0].columns["language"])
    called = _dictionary(asked, groups.values(), first)
    found: list[float | None] = [None] * len(asked)
    for places in groups.values():
        base = next((place for place in places if asked[place].columns["language"] == first), None)
        for place in places:
            if base is not None and asked[place].columns["language"] != first:
                found[place] = float(_same(asked, answers, base, place, called))
    return found


def _dictionary(asked: Sequence[Question], groups: Any, first: str) -> Callable[[str, str], set[str]]:
    """What a text in the first language is called in another one, by the true answers."""
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for places in groups:
        base = [place for place in places if asked[place].columns["language"] == first]
        for place in places:
            if base and asked[place].columns["language"] != first:
                own = _plain(asked[place].sample.answers[0])
                known[str(asked[place].columns["language"]), _plain(asked[base[0]].sample.answers[0])].add(own)
    return lambda language, text: known.get((language, text), set())


def _same(
    asked: Sequence[Question], answers: Sequence[Answer], base: int, place: int, called: Callable[[str, str], set[str]]
) -> bool:
    if asked[place].sample.metric == "box":
        boxes = [first_box(asked[at].sample.prompt, answers[at].text) for at in (base, place)]
        return boxes[0] is not None and boxes[1] is not None and box_iou(boxes[0], boxes[1]) >= THRESHOLD
    return _plain(answers[place].text) in called(str(asked[place].columns["language"]), _plain(answers[base].text))


def _plain(text: str) -> str:
    return plain_text(text).casefold()
