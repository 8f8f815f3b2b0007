"""What a model's answers are worth, question by question: score, IoU, loss, language, agreement between two languages."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from qvl.pipeline.markup.coordinates import box_iou
from qvl.training.evaluation.metrics.box import THRESHOLD
from qvl.training.evaluation.metrics.words import words
from qvl.training.evaluation.samples.sample import Answer
from qvl.training.evaluation.scoring import first_box, plain_text
from qvl.training.heldout.loss import TaskLoss
from qvl.training.pages.experiments.questions import Question
from qvl.training.pages.experiments.recipe import Measure

Column = list[float | None]


@dataclass(frozen=True, slots=True)
class AnswerValues:
    """One value per question for each measure, in the order of the questions; None where a measure does not apply.

    ``picture`` numbers what is asked about: questions about one picture are not independent. ``tokens`` weigh ``loss``.
    """

    picture: list[float]
    score: Column
    iou: Column
    loss: Column
    tokens: Column
    wrong_language: Column
    agreement: Column

    def of(self, measure: Measure) -> Column:
        """The values of one measure."""
        column: Column = getattr(self, measure)
        return column


def answer_values(
    questions: Sequence[Question], answers: Sequence[Answer], ranks: Sequence[float], losses: Mapping[str, TaskLoss]
) -> AnswerValues:
    """The values of all answers.

    ``ranks``: the evaluation's own score of each answer (for a box its IoU). ``losses``: by the name of the question's loss
    sample.
    """
    is_box = [question.sample.metric == "box" for question in questions]
    own_losses = [losses.get(question.loss_sample.task) for question in questions]
    numbers = {image: float(number) for number, image in enumerate(dict.fromkeys(each.image for each in questions))}
    return AnswerValues(
        picture=[numbers[question.image] for question in questions],
        score=[float(rank >= THRESHOLD) if box else rank for rank, box in zip(ranks, is_box, strict=True)],
        iou=[rank if box else None for rank, box in zip(ranks, is_box, strict=True)],
        loss=[None if loss is None else loss.loss * loss.tokens for loss in own_losses],
        tokens=[None if loss is None else float(loss.tokens) for loss in own_losses],
        wrong_language=wrong_language(questions, answers),
        agreement=agreement(questions, answers),
    )


def wrong_language(questions: Sequence[Question], answers: Sequence[Answer]) -> Column:
    """1.0 if an answer has words of true answers in another language, and none of those in its own language.

    Boxes have no language. All values are None if all questions have the same language.
    """
    words_by_language: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        if question.sample.metric != "box":
            words_by_language[question.language].update(words(plain_text(question.sample.answers[0])))
    values: Column = []
    for question, answer in zip(questions, answers, strict=True):
        if question.sample.metric == "box" or len(words_by_language) < 2:
            values.append(None)
            continue
        answered = set(words(plain_text(answer.text)))
        own = words_by_language[question.language]
        others = set().union(*(each for name, each in words_by_language.items() if name != question.language))
        values.append(float(not answered & own and bool(answered & others)))
    return values


def agreement(questions: Sequence[Question], answers: Sequence[Answer]) -> Column:
    """1.0 if the answer means the same as the answer to the same question in the first language, right or wrong.

    Boxes mean the same at an IoU of 0.5. A name means what the true answers call it in the other language.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, question in enumerate(questions):
        groups[question.sample.set, question.thing].append(index)
    first = questions[0].language
    translations = _dictionary(questions, groups.values(), first)
    values: Column = [None] * len(questions)
    for indexes in groups.values():
        base = next((index for index in indexes if questions[index].language == first), None)
        for index in indexes:
            if base is not None and questions[index].language != first:
                values[index] = float(_same_meaning(questions, answers, base, index, translations))
    return values


def _dictionary(
    questions: Sequence[Question], groups: Iterable[Sequence[int]], first: str
) -> Callable[[str, str], set[str]]:
    """What a text in the first language is called in another language, by the true answers."""
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for indexes in groups:
        base = next((index for index in indexes if questions[index].language == first), None)
        for index in indexes:
            language = questions[index].language
            if base is not None and language != first:
                known[language, _true_text(questions[base])].add(_true_text(questions[index]))
    return lambda language, text: known.get((language, text), set())


def _same_meaning(
    questions: Sequence[Question],
    answers: Sequence[Answer],
    base: int,
    index: int,
    translations: Callable[[str, str], set[str]],
) -> bool:
    if questions[index].sample.metric == "box":
        first, second = (first_box(questions[at].sample.prompt, answers[at].text) for at in (base, index))
        return first is not None and second is not None and box_iou(first, second) >= THRESHOLD
    return _plain(answers[index].text) in translations(questions[index].language, _plain(answers[base].text))


def _true_text(question: Question) -> str:
    return _plain(question.sample.answers[0])


def _plain(text: str) -> str:
    return plain_text(text).casefold()
