"""Held-out images with what is true and what every model said, side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence

import xxhash

from qvl.pipeline.html.elements import Html, foreign, tag
from qvl.pipeline.report.sections import section
from qvl.training.evaluation.cards import answered, asks, picture, places, truth
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


def side_by_side(samples: Sequence[EvalSample], models: Mapping[str, ModelAnswers]) -> Html:
    """The section: some samples of every set, images and languages in turn."""
    parts = []
    for name, number in SHOWN.items():
        chosen = choose([at for at, sample in enumerate(samples) if sample.set == name], samples, number)
        if chosen:
            parts += [tag("h3", TITLES[name]), *(_row(at, samples[at], models) for at in chosen)]
    says = (
        "Held-out samples, drawn by the hash of their ids. Green is the truth, red what was answered, blue what the "
        "question points at; words that the truth does not have are marked. The number is the answer's own score."
    )
    return section("shown", "Captions, boxes and read text side by side", says, *parts)


def choose(places: Sequence[int], samples: Sequence[EvalSample], number: int) -> list[int]:
    """At most ``number`` places: by hash, images not shown yet and rarer groups first."""
    waiting = sorted(places, key=lambda at: xxhash.xxh3_64_intdigest(samples[at].id.encode()))
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
    asked, truths, _ = places(sample, Answer(""))
    wanted = truth(sample)
    said = [_said(at, sample, wanted, name, answers) for name, answers in models.items()]
    true = tag(
        "div.true", picture(sample, asked, truths, [], TRUTH_SIDE),
        tag("p.soft", foreign(asks(sample), 160)), tag("div.text", foreign(wanted, TEXT_LIMIT)),
    )  # fmt: skip
    return tag("article.held", true, tag("div.answers", *said))


def _said(at: int, sample: EvalSample, wanted: str, name: str, model: ModelAnswers) -> Html:
    answer, value = model.answers[at], model.values[at]
    title = name if name != "start" else FIRST
    head = tag("h4", title, tag("b", f"{value:.2f}", attributes={"title": f"{sample.metric} of this sample"}))
    cut = Answer(answer.text if sample.metric in PLACED else answer.text[:TEXT_LIMIT], answer.fault, answer.likelihoods)
    shown = [tag("div.text", answered(sample, cut, wanted))]
    if sample.metric in PLACED:
        found = places(sample, answer)[2]
        shown.insert(0, picture(sample, [], [], found, SIDE) if found else tag("div.nowhere", "no valid place"))
    return tag("div.said", head, *shown)
