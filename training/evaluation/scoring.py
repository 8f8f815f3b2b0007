"""Answers to scores: one number per sample, one headline per set, and what a set's metric counts besides."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from qvl.pipeline.markup import parsing
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.dialects import QWEN_VL, TAGS
from qvl.pipeline.markup.markers import MARKER
from qvl.pipeline.markup.parsing import Phrase
from qvl.training.evaluation.metrics.anls import anls
from qvl.training.evaluation.metrics.box import THRESHOLD, best_iou
from qvl.training.evaluation.metrics.cider import cider
from qvl.training.evaluation.metrics.exact import exact, gqa_answer
from qvl.training.evaluation.metrics.grounded import Found, f1, grounded
from qvl.training.evaluation.metrics.ocr import Line, Read, read
from qvl.training.evaluation.metrics.relaxed import relaxed
from qvl.training.evaluation.metrics.vqa_score import vqa_score
from qvl.training.evaluation.samples.sample import Answer, EvalSample, Metric

DIGITS = 6
PERCENT = 100.0
TEXT: dict[Metric, Callable[[str, Sequence[str]], float]] = {
    "vqa_score": vqa_score,
    "anls": anls,
    "relaxed": relaxed,
    "exact": exact,
    "gqa": lambda text, answers: exact(gqa_answer(text), answers),
    "choice": exact,
}


@dataclass
class EvalScores:
    """``scores``: per sample, 0 to 1 (CIDEr 0 to 10), what worst cases are ranked by. ``sets``: the JSON of the results."""

    scores: list[float]
    sets: dict[str, Any]


def score(samples: Sequence[EvalSample], answers: Sequence[Answer]) -> EvalScores:
    """Score every set. Each sample counts: one that could not be asked or parsed is wrong."""
    places: dict[tuple[str, Metric], list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        places[sample.set, sample.metric].append(place)
    scores, sets = [0.0] * len(samples), {}
    for (name, metric), own in sorted(places.items()):
        judged = _judge(metric, [samples[i] for i in own], [answers[i] for i in own])
        for place, value in zip(own, judged.ranks, strict=True):
            scores[place] = round(value, DIGITS)
        groups: dict[str, list[float]] = defaultdict(list)
        for place, value in zip(own, judged.values, strict=True):
            groups[samples[place].group].append(value)
        sets[name] = {
            "metric": metric,
            "samples": len(own),
            "faults": sum(bool(answers[i].fault) for i in own),
            "score": _percent(judged.values),
            "standard_error": round(PERCENT * _standard_error(judged.values), DIGITS),
            **{key: round(value, DIGITS) for key, value in judged.counts.items()},
            "groups": {name: {"samples": len(part), "score": _percent(part)} for name, part in sorted(groups.items())},
        }
    return EvalScores(scores, sets)


def plain_text(text: str) -> str:
    """A text without markers, as the released evaluation decodes answers that are no places."""
    return MARKER.sub("", text).strip()


def first_box(prompt: str, text: str) -> Box | None:
    """The first box of an answer, as fractions; None where there is none, or its corners are swapped.

    A prompt may have opened the box already; an answer without tags is read as if it were inside one, as the released
    parser does.
    """
    opening, closing = TAGS[QWEN_VL].box
    whole = f"{opening}{text}" if prompt.endswith(opening) else text
    boxes = [box for phrase in parsing.parse(whole) for box in phrase.boxes]
    if not boxes:
        boxes = [box for phrase in parsing.parse(opening + plain_text(text) + closing) for box in phrase.boxes]
    return boxes[0] if boxes and boxes[0][0] < boxes[0][2] and boxes[0][1] < boxes[0][3] else None


def lines(text: str) -> list[Line]:
    """The lines of a page with their quads, in reading order; a phrase without quad has no place and is left out."""
    return [(phrase.text, quad) for phrase in parsing.parse(text) for quad in phrase.quads]


@dataclass
class _Judged:
    """``values``: 100 times their mean is the headline. ``ranks``: what a sample's worth is; the same unless given."""

    values: list[float]
    counts: dict[str, float] = field(default_factory=dict)
    ranks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ranks = self.ranks or self.values


def _judge(metric: Metric, samples: list[EvalSample], answers: list[Answer]) -> _Judged:
    pairs = list(zip(samples, answers, strict=True))
    if metric == "cider":
        return _Judged(
            cider([plain_text(a.text) for a in answers], [list(map(plain_text, s.answers)) for s in samples])
        )
    if metric == "box":
        return _boxes([first_box(s.prompt, a.text) for s, a in pairs], samples)
    if metric == "grounded":
        return _grounded([grounded(_phrases(a.text), _phrases(s.answers[0])) for s, a in pairs])
    if metric == "ocr":
        return _pages([read(lines(a.text), lines(s.answers[0])) for s, a in pairs])
    judge = TEXT[metric]
    return _Judged([0.0 if a.fault else judge(plain_text(a.text), s.answers) for s, a in pairs])


def _boxes(boxes: list[Box | None], samples: list[EvalSample]) -> _Judged:
    ious = [best_iou(box, sample.boxes) for box, sample in zip(boxes, samples, strict=True)]
    hits = [float(iou >= THRESHOLD) for iou in ious]
    counts = {"accuracy_at_0.5": _mean(hits), "mean_iou": _mean(ious), "unparsable": boxes.count(None)}
    return _Judged(hits, counts, ious)


def _grounded(found: list[Found]) -> _Judged:
    """The headline is the mean of the samples' F1; precision and recall are over all boxes."""
    promised, wanted = sum(each.predictions for each in found), sum(each.truths for each in found)
    phrases = f1(sum(each.matched for each in found), promised, wanted)
    places = f1(sum(each.placed for each in found), promised, wanted)
    counts = {"precision": phrases[0], "recall": phrases[1], "f1": phrases[2]}
    counts |= {"box_precision": places[0], "box_recall": places[1], "box_f1": places[2]}
    counts["unparsable"] = sum(not each.predictions for each in found)
    return _Judged([f1(each.matched, each.predictions, each.truths)[2] for each in found], counts)


def _pages(pages: list[Read]) -> _Judged:
    """The headline is the mean of the pages' 1 - CER, not below 0; everything else is over all pages."""
    lines = [sum(page.lines_predicted for page in pages), sum(page.lines for page in pages)]
    placed = sum(page.lines_placed for page in pages)
    measured = {
        "word": f1(
            *(sum(each) for each in zip(*((p.words_matched, p.words_predicted, p.words) for p in pages), strict=True))
        ),
        "line": f1(placed, *lines),
        "read": f1(sum(page.lines_read for page in pages), *lines),
    }
    counts = {"cer": sum(page.edits for page in pages) / max(1, sum(page.characters for page in pages))}
    for name, values in measured.items():
        counts |= {f"{name}_{key}": value for key, value in zip(("precision", "recall", "f1"), values, strict=True)}
    counts["quad_iou"] = sum(page.iou for page in pages) / placed if placed else 0.0
    counts["unparsable"] = sum(not page.lines_predicted for page in pages)
    return _Judged([page.similarity for page in pages], counts)


def _phrases(text: str) -> list[Phrase]:
    return [phrase for phrase in parsing.parse(text) if phrase.boxes]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _percent(values: Sequence[float]) -> float:
    return round(PERCENT * _mean(values), DIGITS)


def _standard_error(values: Sequence[float]) -> float:
    """Of the mean of independent samples; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
