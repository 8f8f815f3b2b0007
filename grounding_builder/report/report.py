"""``OUT/report.html`` and ``OUT/report.json``: what came in, what went and why, what the boxes look like."""

import base64
import io
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from qvl.grounding_builder.report.figures import AREA_EDGES, PAPER, WORD_EDGES, Card, Counts, Figures, collect
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.html.elements import Html, count, foreign, join, percent, table, tag
from qvl.pipeline.images.decode import PixelError, decode
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import Place

SIDE = 320
QUALITY = 78
NO_ROOM_ABOVE, NO_ROOM_BESIDE = 7, 55  # percent of the picture where a label stands inside, or to the left
MOST_BARS = 11
COLOURS = ("#e6194b", "#0082c8", "#f58231", "#3cb44b", "#911eb4", "#008080", "#d6006e", "#9a6324")
STYLE = (Path(__file__).parent / "report.css").read_text("utf-8")
TITLES = {
    "grounded_caption": "Grounded captions",
    "referring": "Phrase to box (referring)",
    "region_caption": "Box to phrase (region captions)",
    "vqa": "Questions and answers, and detection as a question",
}


def write_report(out: Place) -> Place:
    """Write both files of a finished build; returns the page's path."""
    figures, layout = collect(out), Layout(out.resolve())
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(figures.data(), option=orjson.OPT_INDENT_2))
    replace_file(layout.report, page(figures).encode())
    return layout.report


def page(figures: Figures) -> str:
    """The whole page; it loads nothing."""
    data, name = figures.data(), figures.dataset["name"]
    body = tag(
        "main",
        tag("h1", f"Grounding: {name}"),
        tag("p", f"{count(data['samples'])} samples in {len(figures.dataset['shards'])} shards, dataset {data['hash']}. "
            f"Distributions are of {count(figures.sampled)} samples; boxes per image are of all."),
        _section("Rows", "Every input row has one verdict; each column adds up.", _reasons(figures.verdicts, figures.rows)),
        _section("Boxes", "Every box that went has its reason, those of dropped rows too.", _boxes(figures)),
        _section("Evaluation images kept out", "Rows whose image belongs to a benchmark (one image may belong to several).",
                 _grid(figures.leaks, "no row was one")),
        _section("Parity with the paper", "Samples made, beside Table 3 of the paper.", _parity(data)),
        _section("Mix", "Samples by source and task, and by language.", _grid(figures.tasks), _grid(figures.languages)),
        _section("Distributions", "", _charts(figures)),
        _section("Top phrases", "", table(("phrase", "times"), [(foreign(p), count(n)) for p, n in data["top_phrases"]])),
        *(_gallery(task, figures) for task in TITLES),
    )  # fmt: skip
    head = join([Html('<meta charset="utf-8">'), tag("title", f"Grounding: {name}"), tag("style", Html(STYLE))])
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def _section(title: str, lead: str, *content: str) -> Html:
    return tag("section", tag("h2", title), tag("p", lead) if lead else Html(""), *content)


def _reasons(counts: Counts, totals: Counter[str]) -> Html:
    """Reasons down, sources across."""
    sources = sorted(counts)
    words = sorted(
        {word for each in counts.values() for word in each}, key=lambda w: (w != KEEP, -_total(counts, w), w)
    )
    rows = [["rows in", *(count(totals[s]) for s in sources), count(sum(totals.values()))]]
    for word in words:
        cells = [count(counts[s][word]) if counts[s][word] else "" for s in sources]
        rows.append([word, *cells, count(_total(counts, word))])
    kept = [percent(counts[s][KEEP], totals[s]) for s in sources]
    return table(("", *sources, "all"), [*rows, ["kept", *kept, percent(_total(counts, KEEP), sum(totals.values()))]])


def _boxes(figures: Figures) -> Html:
    sources = sorted(figures.boxes_in)
    gone = {source: sum(figures.lost[source].values()) for source in sources}
    rows = [["boxes in", *(count(figures.boxes_in[s]) for s in sources)]]
    for kind, counts in (("lost: ", figures.lost), ("flag: ", figures.flags)):
        for word in sorted({w for each in counts.values() for w in each}, key=lambda w: (-_total(counts, w), w)):
            rows.append([kind + word, *(count(counts[s][word]) if counts[s][word] else "" for s in sources)])
    rows.append(["boxes kept", *(count(figures.boxes_in[s] - gone[s]) for s in sources)])
    return table(("", *sources), rows)


def _total(counts: Counts, word: str) -> int:
    return sum(each[word] for each in counts.values())


def _grid(counts: Counts, empty: str = "none") -> Html:
    """Sources down, words across."""
    words = sorted({word for each in counts.values() for word in each})
    if not words:
        return tag("p", empty)
    rows = [[source, *(count(counts[source][word]) for word in words)] for source in sorted(counts)]
    return table(("", *words), [*rows, ["all", *(count(_total(counts, word)) for word in words)]])


def _parity(data: dict[str, Any]) -> Html:
    rows = [
        [TITLES[task], count(data["parity"][task]["made"]), count(paper), percent(data["parity"][task]["made"], paper)]
        for task, paper in PAPER.items()
    ]
    return table(("task", "made", "paper", "share"), rows)


def _charts(figures: Figures) -> Html:
    return tag(
        "div.charts",
        _bars("Different boxes per image", _numbers(figures.per_image)),
        _bars("Boxes per sample", _numbers(figures.per_sample)),
        _bars("Area of a box (share of the image)", _ordered(figures.areas, AREA_EDGES)),
        _bars("Words of a phrase (characters where it is Chinese)", _ordered(figures.words, WORD_EDGES)),
        _heat(figures.heat),
    )


def _numbers(counts: Counter[int]) -> list[tuple[str, int]]:
    """The first numbers one by one, the others together."""
    shown = [(str(number), counts[number]) for number in range(min(counts, default=0), max(counts, default=0) + 1)]
    rest = sum(n for _, n in shown[MOST_BARS:])
    return shown[:MOST_BARS] + ([(f"{int(shown[MOST_BARS - 1][0]) + 1} +", rest)] if rest else [])


def _ordered(counts: Counter[str], edges: tuple[float, ...]) -> list[tuple[str, int]]:
    names = [*(f"<= {edge:g}" for edge in edges), f"> {edges[-1]:g}"]
    return [(name, counts[name]) for name in names]


def _bars(title: str, values: list[tuple[str, int]]) -> Html:
    most = max([n for _, n in values], default=0) or 1
    rows = []
    for name, n in values:
        fill = tag("span.fill", attributes={"style": f"width:{100 * n / most:.1f}%"})
        rows.append(tag("div.bar", tag("span.label", name), tag("span.track", fill), tag("span.number", count(n))))
    return tag("figure", tag("figcaption", title), *rows)


def _heat(heat: list[list[int]]) -> Html:
    """Where boxes lie: darker is more."""
    most = max(max(row) for row in heat) or 1
    cells = [
        tag(
            "rect",
            attributes={"x": str(x), "y": str(y), "width": "1", "height": "1", "fill-opacity": f"{n / most:.3f}"},
        )
        for y, row in enumerate(heat)
        for x, n in enumerate(row)
    ]
    side = str(len(heat))
    picture = tag(
        "svg.heat",
        *cells,
        attributes={"viewBox": f"0 0 {side} {side}", "role": "img", "aria-label": "heat map of boxes"},
    )
    return tag("figure", tag("figcaption", f"Where boxes lie (darkest: {count(most)} boxes)"), picture)


def _gallery(task: str, figures: Figures) -> Html:
    cards = [card for key, found in sorted(figures.cards.items()) if key.split("/")[0] == task for card in found]
    if not cards:
        return Html("")
    return _section(TITLES[task], "", tag("div.gallery", *(_card(card) for card in cards)))


def _card(card: Card) -> Html:
    """The picture with its boxes; phrases in the colour of their boxes; the text that is trained on, answers marked."""
    content = card.content
    colours: dict[str, str] = {}
    for region in content["regions"]:
        colours.setdefault(region["phrase"], COLOURS[len(colours) % len(COLOURS)])
    marks = [_mark(region["box"], region["phrase"], colours[region["phrase"]]) for region in content["regions"]]
    turns = [tag(f"span.{turn['role']}", foreign(turn["text"], 900)) for turn in content["turns"]]
    origin = f"{content['source']} · {content['origin']['file']} row {content['origin']['row']}"
    picture = tag("div.picture", _image(card.image), *marks)
    return tag("article.card", picture, tag("p.turns", *turns), tag("p.origin", origin))


def _mark(box: list[float], phrase: str, colour: str) -> Html:
    x1, y1, x2, y2 = (100 * value for value in box)
    place = f"left:{x1:.3f}%;top:{y1:.3f}%;width:{x2 - x1:.3f}%;height:{y2 - y1:.3f}%;border-color:{colour}"
    name = "div.box" + (".low" if y1 < NO_ROOM_ABOVE else "") + (".far" if x1 > NO_ROOM_BESIDE else "")
    label = tag("span", foreign(phrase, 40), attributes={"style": f"background:{colour}"})
    return tag(name, label, attributes={"style": place})


def _image(data: bytes) -> Html:
    """A copy of the stored pixels that fits the page; EXIF is not applied, as the boxes are of the stored view."""
    try:
        image = decode(data, SIDE)
    except PixelError as error:
        return tag("p", f"not shown: {error}")
    image.thumbnail((2 * SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return tag(
        "img", attributes={"src": f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", "alt": ""}
    )
