"""Score answers: one number per sample, one headline score per set, and the other counts of the set's metric."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt

from qvl.pipeline.markup import parsing
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.dialects import QWEN_VL, TAGS
from qvl.pipeline.markup.markers import MARKER
from qvl.pipeline.markup.parsing import Phrase
from qvl.training.evaluation.metrics.anls import anls
from qvl.training.evaluation.metrics.box import THRESHOLD, best_iou
from qvl.training.evaluation.metrics.cider import cider
from qvl.training.evaluation.metrics.exact import exact, gqa_answer
from qvl.training.evaluation.metrics.grounded import GroundingCounts, count_grounding, f1
from qvl.training.evaluation.metrics.ocr import Line, PageCounts, count_page
from qvl.training.evaluation.metrics.relaxed import relaxed
from qvl.training.evaluation.metrics.vqa_score import vqa_score
from qvl.training.evaluation.samples.sample import Answer, EvalSample, Metric
from qvl.training.evaluation.scores import EvalScores, GroupScore, SetScore

DIGITS = 6
PERCENT = 100.0
TEXT_METRICS: dict[Metric, Callable[[str, Sequence[str]], float]] = {
    "vqa_score": vqa_score,
    "anls": anls,
    "relaxed": relaxed,
    "exact": exact,
    "gqa": lambda text, answers: exact(gqa_answer(text), answers),
    "choice": exact,
}


def score(samples: Sequence[EvalSample], answers: Sequence[Answer]) -> EvalScores:
    """Score every set. Every sample counts: one that could not be asked or parsed is wrong."""
    indexes_by_set: dict[tuple[str, Metric], list[int]] = defaultdict(list)
    for index, sample in enumerate(samples):
        indexes_by_set[sample.set, sample.metric].append(index)
    per_sample, sets = [0.0] * len(samples), {}
    for (name, metric), indexes in sorted(indexes_by_set.items()):
        own_samples, own_answers = [samples[i] for i in indexes], [answers[i] for i in indexes]
        result = _apply(metric, own_samples, own_answers)
        for index, value in zip(indexes, result.ranks, strict=True):
            per_sample[index] = round(value, DIGITS)
        sets[name] = _set_score(metric, own_samples, own_answers, result)
    return EvalScores(per_sample, sets)


def _set_score(metric: Metric, samples: list[EvalSample], answers: list[Answer], result: "_MetricResult") -> SetScore:
    groups: dict[str, list[float]] = defaultdict(list)
    for sample, value in zip(samples, result.values, strict=True):
        groups[sample.group].append(value)
    return SetScore(
        metric=metric,
        samples=len(samples),
        faults=sum(bool(answer.fault) for answer in answers),
        score=_percent(result.values),
        standard_error=round(PERCENT * _standard_error(result.values), DIGITS),
        counts={key: round(value, DIGITS) for key, value in result.counts.items()},
        groups={name: GroupScore(len(values), _percent(values)) for name, values in sorted(groups.items())},
    )


def plain_text(text: str) -> str:
    """A text without markers, as the released evaluation decodes answers that are not boxes."""
    return MARKER.sub("", text).strip()


def first_box(prompt: str, text: str) -> Box | None:
    """The first box of an answer as fractions, or None if there is none or its corners are swapped.

    The prompt may have opened the box already. An answer without tags is read as if it were inside a box, as the released
    parser does.
    """
    opening, closing = TAGS[QWEN_VL].box
    whole = f"{opening}{text}" if prompt.endswith(opening) else text
    boxes = [box for phrase in parsing.parse(whole) for box in phrase.boxes]
    if not boxes:
        boxes = [box for phrase in parsing.parse(opening + plain_text(text) + closing) for box in phrase.boxes]
    return boxes[0] if boxes and boxes[0][0] < boxes[0][2] and boxes[0][1] < boxes[0][3] else None


def lines(text: str) -> list[Line]:
    """The lines of a page with their quads, in reading order. Phrases without a quad are left out."""
    return [(phrase.text, quad) for phrase in parsing.parse(text) for quad in phrase.quads]


@dataclass
class _MetricResult:
    """``values``: 100 times their mean is the score of the set. ``ranks``: each sample's own value, by default the same."""

    values: list[float]
    counts: dict[str, float] = field(default_factory=dict)
    ranks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ranks = self.ranks or self.values


def _apply(metric: Metric, samples: list[EvalSample], answers: list[Answer]) -> _MetricResult:
    pairs = list(zip(samples, answers, strict=True))
    if metric == "cider":
        return _MetricResult(
            cider([plain_text(a.text) for a in answers], [list(map(plain_text, s.answers)) for s in samples])
        )
    if metric == "box":
        return _boxes([first_box(s.prompt, a.text) for s, a in pairs], samples)
    if metric == "grounded":
        return _grounded([count_grounding(_phrases(a.text), _phrases(s.answers[0])) for s, a in pairs])
    if metric == "ocr":
        return _pages([count_page(lines(a.text), lines(s.answers[0])) for s, a in pairs])
    text_metric = TEXT_METRICS[metric]
    return _MetricResult([0.0 if a.fault else text_metric(plain_text(a.text), s.answers) for s, a in pairs])


def _boxes(boxes: list[Box | None], samples: list[EvalSample]) -> _MetricResult:
    ious = [best_iou(box, sample.boxes) for box, sample in zip(boxes, samples, strict=True)]
    hits = [float(iou >= THRESHOLD) for iou in ious]
    counts = {"accuracy_at_0.5": _mean(hits), "mean_iou": _mean(ious), "unparsable": boxes.count(None)}
    return _MetricResult(hits, counts, ious)


def _grounded(found: list[GroundingCounts]) -> _MetricResult:
    """The score is the mean of the samples' F1; precision and recall are over all boxes."""
    predicted, truths = sum(each.predictions for each in found), sum(each.truths for each in found)
    phrases = f1(sum(each.matched for each in found), predicted, truths)
    boxes = f1(sum(each.boxes_matched for each in found), predicted, truths)
    counts = {"precision": phrases[0], "recall": phrases[1], "f1": phrases[2]}
    counts |= {"box_precision": boxes[0], "box_recall": boxes[1], "box_f1": boxes[2]}
    counts["unparsable"] = sum(not each.predictions for each in found)
    return _MetricResult([f1(each.matched, each.predictions, each.truths)[2] for each in found], counts)


def _pages(pages: list[PageCounts]) -> _MetricResult:
    """The score is the mean of the pages' 1 - CER, not below 0; all other numbers are over all pages."""
    lines = [sum(page.lines_predicted for page in pages), sum(page.lines for page in pages)]
    matched = sum(page.lines_matched for page in pages)
    measured = {
        "word": f1(
            *(sum(each) for each in zip(*((p.words_matched, p.words_predicted, p.words) for p in pages), strict=True))
        ),
        "line": f1(matched, *lines),
        "read": f1(sum(page.lines_read for page in pages), *lines),
    }
    counts = {"cer": sum(page.edits for page in pages) / max(1, sum(page.characters for page in pages))}
    for name, values in measured.items():
        counts |= {f"{name}_{key}": value for key, value in zip(("precision", "recall", "f1"), values, strict=True)}
    counts["quad_iou"] = sum(page.iou for page in pages) / matched if matched else 0.0
    counts["unparsable"] = sum(not page.lines_predicted for page in pages)
    return _MetricResult([page.similarity for page in pages], counts)


def _phrases(text: str) -> list[Phrase]:
    return [phrase for phrase in parsing.parse(text) if phrase.boxes]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _percent(values: Sequence[float]) -> float:
    return round(PERCENT * _mean(values), DIGITS)


def _standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean of independent samples; 0 for fewer than two."""
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
