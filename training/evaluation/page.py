"""``report.html``: scores, their distribution, and the worst, some random and the best samples with their regions."""

from collections.abc import Sequence
from pathlib import Path

import xxhash

from qvl.pipeline.html.charts import counted_bars
from qvl.pipeline.html.document import Page, document
from qvl.pipeline.html.elements import Html, count, join, short, table, tag, untrusted
from qvl.pipeline.html.sections import Section, header, section
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.evaluation.cards import card
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.scores import EvalScores, EvaluationResult, SetScore

WORST, RANDOM, BEST = 12, 6, 6
BINS = 10
MEANING = {
    "cider": "CIDEr-D times 100; a sample's own value is 0 to 10",
    "vqa_score": "VQA accuracy in percent",
    "anls": "average normalised Levenshtein similarity, times 100",
    "relaxed": "relaxed accuracy (numbers within 5%) in percent",
    "exact": "exact match in percent",
    "gqa": "exact match of the shortened answer in percent",
    "choice": "the likeliest option is the right one, in percent",
    "box": "share of first boxes with IoU of at least 0.5, in percent; a sample's own value is its IoU",
    "grounded": "mean F1 of phrases with their boxes at IoU 0.5, times 100",
    "ocr": "mean of 1 - character error rate of a page, not below 0, times 100",
}


def write_page(
    path: Path, result: EvaluationResult, samples: Sequence[EvalSample], answers: Sequence[Answer], scores: EvalScores
) -> None:
    """Write the page in one step."""
    sections = []
    for name, values in result.sets.items():
        positions = [position for position, sample in enumerate(samples) if sample.set == name]
        sections.append(_section(name, values, positions, samples, answers, scores))
    page = Page("Evaluation", "Evaluation", _header(result), sections)
    replace_file(path, document(page).encode())


def _header(result: EvaluationResult) -> Html:
    rows = [
        [
            tag("a", name, attributes={"href": f"#{name}"}), values.metric, count(values.samples),
            f"{values.score:.2f}", f"± {values.standard_error:.2f}", count(int(values.counts.get("unparsable", 0))),
            count(values.faults),
        ]
        for name, values in result.sets.items()
    ]  # fmt: skip
    settings = " · ".join(
        f"{key} {_setting(value)}" for key, value in result.manifest.asked.items() if value not in (None, [], 0)
    )
    head = ["set", "metric", "samples", "score", "standard error", "unparsable", "not asked"]
    legend = tag(
        "p.legend", tag("span.key.truth"), " truth  ", tag("span.key.answered"), " answer  ",
        tag("span.key.asked"), " what the question points at  ", tag("mark", "marked"),
        " words that the truth does not contain",
    )  # fmt: skip
    model = tag("p.soft", untrusted(f"{result.manifest.model} · {result.manifest.dtype} · {settings}", 600))
    return header("Evaluation", Path(result.manifest.model).name, (), model, table(head, rows, ".numbers"), legend)


def _setting(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _section(
    name: str,
    values: SetScore,
    positions: Sequence[int],
    samples: Sequence[EvalSample],
    answers: Sequence[Answer],
    scores: EvalScores,
) -> Section:
    def cards(title: str, chosen: Sequence[int]) -> Html:
        shown = [card(samples[position], answers[position], scores.per_sample[position]) for position in chosen]
        grid = "div.cards.wide" if values.metric == "ocr" else "div.cards"
        return join([tag("h3", title), tag(grid, *shown)] if shown else [])

    ranked = sorted(positions, key=lambda position: (scores.per_sample[position], samples[position].id))
    worst = ranked[:WORST]
    best = [position for position in ranked[::-1] if position not in worst][:BEST]
    rest = [position for position in positions if position not in worst and position not in best]
    random = sorted(rest, key=lambda position: xxhash.xxh3_64_intdigest(samples[position].id.encode()))[:RANDOM]
    return section(
        name, f"{name}: {values.score:.2f}", MEANING[values.metric],
        _figures(values, [scores.per_sample[position] for position in positions]),
        cards("Worst", worst), cards("Random", random), cards("Best", best), link=name,
    )  # fmt: skip


def _figures(values: SetScore, own_scores: Sequence[float]) -> Html:
    """Scores by source, other counts of the metric, and a histogram of the samples' own scores."""
    numbers = [[key.replace("_", " "), short(value)] for key, value in values.counts.items()]
    groups = [[untrusted(group), count(v.samples), f"{v.score:.2f}"] for group, v in values.groups.items()]
    return tag(
        "div.grid",
        tag("div", tag("h3", "By source"), table(["source", "samples", "score"], groups, ".numbers")),
        tag("div", tag("h3", "Counts"), table(["", ""], numbers, ".numbers")) if numbers else "",
        tag("div", tag("h3", "Samples by their own score"), _histogram(own_scores)),
    )


def _histogram(values: Sequence[float]) -> Html:
    """Ten bars from 0 to 1, or to the largest value if that is more."""
    top = max([1.0, *values])
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value / top * BINS))] += 1
    labels = [f"{top * i / BINS:.2g} to {top * (i + 1) / BINS:.2g}" for i in range(BINS)]
    return counted_bars("", list(zip(labels, counts, strict=True)), [count(number) for number in counts])
