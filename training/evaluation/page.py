"""``report.html``: the scores, how they spread, the worst cases, some drawn at random and the best, places drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash

from qvl.pipeline.html.elements import Html, count, foreign, join, short, table, tag
from qvl.pipeline.storage.atomic import replace_file
from qvl.training.evaluation.cards import card
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.scoring import EvalScores

STYLE = Path(__file__).parent / "report.css"
WORST, DRAWN, BEST = 12, 6, 6
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
PLAIN = ("metric", "samples", "faults", "score", "standard_error", "groups")


def write_page(
    path: Path, scores: dict[str, Any], samples: Sequence[EvalSample], answers: Sequence[Answer], scored: EvalScores
) -> None:
    """Write the page in one step; it needs no other file and loads nothing."""
    sections = []
    for name, values in scores["sets"].items():
        places = [place for place, sample in enumerate(samples) if sample.set == name]
        sections.append(_section(name, values, places, samples, answers, scored))
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = join(
        [
            tag("meta", attributes={"charset": "utf-8"}),
            tag("meta", attributes={"http-equiv": "Content-Security-Policy", "content": policy}),
            tag("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            tag("title", "Evaluation"),
            tag("style", Html(STYLE.read_text("utf-8"))),
        ]
    )
    body = join([_header(scores), *sections])
    replace_file(path, f"<!doctype html>\n<html lang='en'><head>{head}</head><body>{body}</body></html>\n".encode())


def _header(scores: dict[str, Any]) -> Html:
    rows = [
        [
            tag("a", name, attributes={"href": f"#{name}"}), values["metric"], count(values["samples"]),
            f"{values['score']:.2f}", f"± {values['standard_error']:.2f}", count(int(values.get("unparsable", 0))),
            count(values["faults"]),
        ]
        for name, values in scores["sets"].items()
    ]  # fmt: skip
    asked = " · ".join(f"{key} {_said(value)}" for key, value in scores["asked"].items() if value not in (None, [], 0))
    return tag(
        "header",
        tag("h1", "Evaluation"),
        tag("p.soft", foreign(f"model {scores['model']} · {scores['dtype']} · {asked}", 600)),
        table(["set", "metric", "samples", "score", "standard error", "unparsable", "not asked"], rows),
        tag(
            "p.soft.legend", tag("b.truth", "truth"), tag("b.said", "answer"),
            tag("b.asked", "what the question points at"), tag("mark", "words"), " that are not in the truth",
        ),
    )  # fmt: skip


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _section(
    name: str,
    values: dict[str, Any],
    places: list[int],
    samples: Sequence[EvalSample],
    answers: Sequence[Answer],
    scored: EvalScores,
) -> Html:
    def cards(title: str, chosen: list[int]) -> list[Html]:
        shown = [card(samples[place], answers[place], scored.scores[place]) for place in chosen]
        grid = "div.cards.wide" if values["metric"] == "ocr" else "div.cards"
        return [tag("h3", title), tag(grid, *shown)] if shown else []

    ranked = sorted(places, key=lambda place: (scored.scores[place], samples[place].id))
    worst = ranked[:WORST]
    best = [place for place in ranked[::-1] if place not in worst][:BEST]
    rest = [place for place in places if place not in worst and place not in best]
    drawn = sorted(rest, key=lambda place: xxhash.xxh3_64_intdigest(samples[place].id.encode()))[:DRAWN]
    numbers = [[key.replace("_", " "), short(value)] for key, value in values.items() if key not in PLAIN]
    groups = [[foreign(group), count(v["samples"]), f"{v['score']:.2f}"] for group, v in values["groups"].items()]
    return tag(
        "section",
        tag("h2", f"{name}: {values['score']:.2f}"),
        tag("p.soft", MEANING[values["metric"]]),
        tag(
            "div.side",
            tag("div", tag("h3", "By source"), table(["source", "samples", "score"], groups)),
            *([tag("div", tag("h3", "Counts"), table(["", ""], numbers))] if numbers else []),
            tag("div", tag("h3", "Samples by their own value"), _histogram([scored.scores[place] for place in places])),
        ),
        *cards("Worst", worst),
        *cards("Drawn at random", drawn),
        *cards("Best", best),
        attributes={"id": name},
    )


def _histogram(values: list[float]) -> Html:
    """Ten bars from 0 to 1 (or to the largest value, where that is more)."""
    top = max([1.0, *values])
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(value / top * BINS))] += 1
    most = max(counts) or 1
    bars = [
        tag("div", tag("b", attributes={"style": f"height:{100 * n / most:.0f}%"}), tag("i", f"{top * at / BINS:.2g}"),
            attributes={"title": f"{n} samples"})
        for at, n in enumerate(counts)
    ]  # fmt: skip
    return tag("div.figure", *bars)
