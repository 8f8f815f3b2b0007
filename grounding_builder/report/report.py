"""Writes ``OUT/report.html`` and ``OUT/report.json``: rows and boxes in, what was dropped and why, distributions, cards."""

from collections import Counter
from collections.abc import Mapping

import orjson

from qvl.grounding_builder.report.figures import AREA_EDGES, TOP, WORD_EDGES, Card, Counts, Figures, collect
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.html.charts import counted_bars
from qvl.pipeline.html.document import Page, document
from qvl.pipeline.html.elements import Html, count, percent, table, tag, untrusted
from qvl.pipeline.html.pictures import PALETTE, framed
from qvl.pipeline.html.sections import Section, Tile, dataset_hash, header, section
from qvl.pipeline.images.decode import PixelError, decode
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath

SIDE = 320
QUALITY = 78
# percent: nearer to the top than the first the label is inside the box; further right than the second it extends to the left
NO_ROOM_ABOVE, NO_ROOM_BESIDE = 7, 55
MOST_BARS = 11
TITLES = {
    "grounded_caption": "Grounded captions",
    "referring": "Phrase to box (referring)",
    "region_caption": "Box to phrase (region captions)",
    "vqa": "Questions and answers, and detection as a question",
}


def write_report(out: AnyPath) -> AnyPath:
    """Write both files of a finished build and return the page's path. Raises ContractError if it is not finished."""
    figures, layout = collect(out), Layout(out.resolve())
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(figures.to_json(), option=orjson.OPT_INDENT_2))
    replace_file(layout.report, page(figures).encode())
    return layout.report


def page(figures: Figures) -> str:
    """The whole page."""
    name = figures.dataset.name
    phrases = [(untrusted(phrase), count(n)) for phrase, n in figures.phrases.most_common(TOP)]
    sections = [
        section("rows", "Rows", "Every input row has exactly one verdict; each column adds up.",
                _reasons(figures.verdicts, figures.rows)),
        section("boxes", "Boxes", "Every dropped box has a reason, including those of dropped rows.", _boxes(figures)),
        section("leaks", "Evaluation images kept out",
                "Rows whose image belongs to a benchmark. An image may belong to several.",
                _grid(figures.leaks, "No row's image belongs to a benchmark.")),
        section("paper", "Beside the paper's Table 3", "Samples of each task, and the number in the paper.",
                _against_paper(figures.parity), link="Table 3"),
        section("mix", "Mix", "Samples by source and task, and by source and language.",
                _grid(figures.tasks), _grid(figures.languages)),
        section("distributions", "Distributions",
                f"Over {count(figures.sampled)} samples; boxes per image over all.", _charts(figures)),
        section("phrases", "Most frequent phrases", "", table(("phrase", "times"), phrases, ".numbers")),
        *(gallery for task in TITLES if (gallery := _gallery(task, figures)) is not None),
    ]  # fmt: skip
    tiles = [
        Tile(count(sum(figures.rows.values())), "rows in"),
        Tile(count(figures.dataset.samples), "samples"),
        Tile(count(len(figures.dataset.shards)), "shards"),
    ]
    top = header("Grounding report", name, tiles, dataset_hash(figures.dataset.hash))
    return document(Page(f"Grounding: {name}", name, top, sections))


def _reasons(counts: Counts, totals: Counter[str]) -> Html:
    """Reasons down, sources across."""
    sources = sorted(counts)
    reasons = _by_frequency(counts)
    reasons.sort(key=lambda reason: reason != KEEP)
    rows = [["rows in", *(count(totals[source]) for source in sources), count(sum(totals.values()))]]
    rows += [[reason, *_cells(counts, sources, reason), count(_total(counts, reason))] for reason in reasons]
    kept = [percent(counts[source][KEEP], totals[source]) for source in sources]
    rows.append(["kept", *kept, percent(_total(counts, KEEP), sum(totals.values()))])
    return table(("verdict", *sources, "all"), rows, ".numbers.last")


def _boxes(figures: Figures) -> Html:
    sources = sorted(figures.boxes_in)
    dropped = {source: sum(figures.lost[source].values()) for source in sources}
    rows = [["boxes in", *(count(figures.boxes_in[source]) for source in sources)]]
    for kind, counts in (("dropped: ", figures.lost), ("flag: ", figures.flags)):
        rows += [[kind + reason, *_cells(counts, sources, reason)] for reason in _by_frequency(counts)]
    rows.append(["boxes kept", *(count(figures.boxes_in[source] - dropped[source]) for source in sources)])
    return table(("boxes", *sources), rows, ".numbers.last")


def _by_frequency(counts: Counts) -> list[str]:
    """All names, the most frequent first."""
    return sorted({name for each in counts.values() for name in each}, key=lambda name: (-_total(counts, name), name))


def _cells(counts: Counts, sources: list[str], name: str) -> list[str]:
    return [count(counts[source][name]) if counts[source][name] else "" for source in sources]


def _total(counts: Counts, name: str) -> int:
    return sum(each[name] for each in counts.values())


def _grid(counts: Counts, empty: str = "none") -> Html:
    """Sources down, names across."""
    names = sorted({name for each in counts.values() for name in each})
    if not names:
        return tag("p.note", empty)
    rows = [[source, *(count(counts[source][name]) for name in names)] for source in sorted(counts)]
    return table(
        ("source", *names), [*rows, ["all", *(count(_total(counts, name)) for name in names)]], ".numbers.last"
    )


def _against_paper(parity: Mapping[str, tuple[int, int]]) -> Html:
    rows = [[TITLES[task], count(made), count(paper), percent(made, paper)] for task, (made, paper) in parity.items()]
    return table(("task", "samples", "paper", "share"), rows, ".numbers")


def _charts(figures: Figures) -> Html:
    return tag(
        "div.grid",
        _bars("Different boxes per image", _numbers(figures.per_image)),
        _bars("Boxes per sample", _numbers(figures.per_sample)),
        _bars("Area of a box (share of the image)", _ordered(figures.areas, AREA_EDGES)),
        _bars("Words of a phrase (characters if Chinese)", _ordered(figures.words, WORD_EDGES)),
        _heat(figures.heat),
    )


def _numbers(counts: Counter[int]) -> list[tuple[str, int]]:
    """The first numbers one by one, the others summed."""
    shown = [(str(number), counts[number]) for number in range(min(counts, default=0), max(counts, default=0) + 1)]
    rest = sum(n for _, n in shown[MOST_BARS:])
    return shown[:MOST_BARS] + ([(f"{int(shown[MOST_BARS - 1][0]) + 1} +", rest)] if rest else [])


def _ordered(counts: Counter[str], edges: tuple[float, ...]) -> list[tuple[str, int]]:
    names = [*(f"<= {edge:g}" for edge in edges), f"> {edges[-1]:g}"]
    return [(name, counts[name]) for name in names]


def _bars(title: str, counts: list[tuple[str, int]]) -> Html:
    return counted_bars(title, counts, [count(number) for _, number in counts])


def _heat(heat: list[list[int]]) -> Html:
    """Where boxes lie in the image; darker cells are covered by more boxes."""
    most = max(max(row) for row in heat) or 1
    cells = [_heat_square(x, y, n / most) for y, row in enumerate(heat) for x, n in enumerate(row)]
    attributes = {"viewBox": f"0 0 {len(heat)} {len(heat)}", "role": "img", "aria-label": "heat map of boxes"}
    title = f"Where boxes lie (darkest: {count(most)} boxes)"
    return tag("div.bars", tag("h4", title), tag("svg.heatmap", *cells, attributes=attributes))


def _heat_square(x: int, y: int, share: float) -> Html:
    return tag(
        "rect", attributes={"x": str(x), "y": str(y), "width": "1", "height": "1", "fill-opacity": f"{share:.3f}"}
    )


def _gallery(task: str, figures: Figures) -> Section | None:
    cards = [card for key, found in sorted(figures.cards.items()) if key.split("/")[0] == task for card in found]
    if not cards:
        return None
    return section(f"task-{task}", TITLES[task], "", tag("div.cards", *map(_card, cards)))


def _card(card: Card) -> Html:
    """The picture with its boxes, each phrase in one colour, and the text that is trained on with answers highlighted."""
    record = card.record
    colours: dict[str, int] = {}
    for region in record.regions:
        colours.setdefault(region.phrase, len(colours) % PALETTE)
    boxes = [
        _box(region.box, region.phrase, colours[region.phrase]) for region in record.regions if region.box is not None
    ]
    turns = [
        tag("div.turn.markup" + (".supervised" if turn.role == "assistant" else ""), untrusted(turn.text, 900))
        for turn in record.turns
    ]
    origin = f"{record.source} · {record.origin.file} row {record.origin.row}"
    return tag("article.card", tag("div.boxed", _image(card.image), *boxes), *turns, tag("p.origin", origin))


def _box(box: Box, phrase: str, colour: int) -> Html:
    x1, y1, x2, y2 = (100 * value for value in box)
    style = f"left:{x1:.3f}%;top:{y1:.3f}%;width:{x2 - x1:.3f}%;height:{y2 - y1:.3f}%"
    name = f"div.box.c{colour}" + (".low" if y1 < NO_ROOM_ABOVE else "") + (".far" if x1 > NO_ROOM_BESIDE else "")
    return tag(name, tag("span", untrusted(phrase, 40)), attributes={"style": style})


def _image(data: bytes) -> Html:
    """A copy of the stored pixels that fits the page. EXIF is not applied because boxes refer to the stored view."""
    try:
        image = decode(data, SIDE)
    except PixelError as error:
        return tag("p.unseen", f"image not shown: {error}")
    image.thumbnail((2 * SIDE, SIDE))
    return framed(image, "JPEG", QUALITY)
