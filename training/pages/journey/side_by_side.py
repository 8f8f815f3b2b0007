"""Held-out images with the truth and every model's answer, side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence

import xxhash

from qvl.pipeline.html.elements import Html, tag, untrusted
from qvl.pipeline.html.pictures import Shape
from qvl.pipeline.html.sections import Section, section
from qvl.training.evaluation.cards import answer_regions, marked_answer, picture, question, truth
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.heldout.questions import ModelAnswers

SHOWN = {"caption": 6, "region_caption": 3, "vqa": 4, "referring": 5, "grounded_caption": 3, "ocr": 4}
TITLES = {
    "caption": "Captions", "region_caption": "What is in the box", "vqa": "Questions", "referring": "Where is it",
    "grounded_caption": "Captions with boxes", "ocr": "Reading",
}  # fmt: skip
PLACED = ("box", "grounded", "ocr")
TRUTH_SIDE, SIDE = 420, 240
TEXT_LIMIT = 500
FIRST = "first weights"


def side_by_side(samples: Sequence[EvalSample], models: Mapping[str, ModelAnswers]) -> Section:
    """The section: some samples of every set, with images and languages in turn."""
    parts = []
    for name, number in SHOWN.items():
        chosen = choose([at for at, sample in enumerate(samples) if sample.set == name], samples, number)
        if chosen:
            parts += [tag("h3", TITLES[name]), *(_row(at, samples[at], models) for at in chosen)]
    lead = (
        "Held-out samples, chosen by the hash of their ids. Green is the truth, red the answer, blue what the question "
        "points at; words that the truth does not contain are marked. The number is the answer's own score."
    )
    return section("shown", "Captions, boxes and read text side by side", lead, *parts, link="Side by side")


def choose(positions: Sequence[int], samples: Sequence[EvalSample], number: int) -> list[int]:
    """At most ``number`` positions in the order of their hash, preferring images and groups shown least so far."""
    waiting = sorted(positions, key=lambda at: xxhash.xxh3_64_intdigest(samples[at].id.encode()))
    images: Counter[object] = Counter()
    groups: Counter[str] = Counter()
    chosen: list[int] = []
    while waiting and len(chosen) < number:
        best = min(waiting, key=lambda at: (images[samples[at].images], groups[_language(samples[at])]))
        waiting.remove(best)
        chosen.append(best)
        images[samples[best].images] += 1
        groups[_language(samples[best])] += 1
    return chosen


def _language(sample: EvalSample) -> str:
    return sample.group.rpartition(" ")[2]


def _row(at: int, sample: EvalSample, models: Mapping[str, ModelAnswers]) -> Html:
    regions, expected = answer_regions(sample, Answer("")), truth(sample)
    answers = [_answer(at, sample, expected, name, model) for name, model in models.items()]
    wanted = tag(
        "div.wanted", picture(sample, regions.shapes(), TRUTH_SIDE),
        tag("p.soft", untrusted(question(sample), 160)), tag("div.text", untrusted(expected, TEXT_LIMIT)),
    )  # fmt: skip
    return tag("article.held", wanted, tag("div.answers", *answers))


def _answer(at: int, sample: EvalSample, expected: str, name: str, model: ModelAnswers) -> Html:
    answer, value = model.answers[at], model.scores[at]
    title = name if name != "start" else FIRST
    head = tag("h4", title, tag("b", f"{value:.2f}", attributes={"title": f"{sample.metric} of this sample"}))
    cut = Answer(answer.text if sample.metric in PLACED else answer.text[:TEXT_LIMIT], answer.fault, answer.likelihoods)
    shown = [tag("div.text", marked_answer(sample, cut, expected))]
    if sample.metric in PLACED:
        found = [Shape(corners, "answered") for corners in answer_regions(sample, answer).answered]
        shown.insert(0, picture(sample, found, SIDE) if found else tag("p.unseen", "no valid region"))
    return tag("div.answer", head, *shown)
