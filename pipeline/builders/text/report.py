"""``OUT/report.html`` and ``OUT/report.json``: rows by verdict, lengths, languages, and samples as they are trained on."""

import base64
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.html.elements import Html, count, foreign, join, percent, table, tag
from qvl.pipeline.images.decode import PixelError, decode
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import Place
from qvl.pipeline.storage.reader import Storage

EDGES = (50, 100, 200, 500, 1_000, 2_000, 4_000)
PER_SOURCE = 8
SIDE = 150
SHOWN = 450
STYLE = (Path(__file__).parent / "report.css").read_text("utf-8")
NAMES = {"text": "Pure text", "chat": "Dialogues"}


@dataclass
class Findings:
    """What the page shows. ``kinds``: samples by (source, task, language); ``cards``: a few samples of each source."""

    dataset: dict[str, Any]
    kinds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lengths: dict[str, Counter[str]] = field(default_factory=dict)
    images: Counter[int] = field(default_factory=Counter)
    cards: dict[str, list[tuple[dict[str, Any], list[bytes]]]] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Everything but the pictures, as JSON values."""
        return {
            "name": self.dataset["name"],
            "hash": self.dataset["hash"],
            "samples": self.dataset["samples"],
            "verdicts": self.dataset["lineage"]["verdicts"],
            "kinds": [[*kind, n] for kind, n in sorted(self.kinds.items())],
            "lengths": self.lengths,
            "images": {str(n): times for n, times in sorted(self.images.items())},
        }


def write_report(out: Place) -> Place:
    """Write both files of a finished build; returns the page's path."""
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset)
    if dataset is None:
        raise ContractError(f"{out}: there is no finished build here; `qvl text build` makes one")
    findings = Findings(dataset)
    for shard in dataset["shards"]:
        _shard(layout.shard(shard["shard"]), layout.index(shard["shard"]), findings)
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(findings.data(), option=orjson.OPT_INDENT_2))
    replace_file(layout.report, page(findings).encode())
    return layout.report


def _shard(path: Place, index: Place, findings: Findings) -> None:
    for row in read_parquet(index).to_pylist():
        findings.kinds[row["source"], row["task"], row["language"]] += 1
        findings.lengths.setdefault(row["task"], Counter())[_bucket(row["text_length"])] += 1
        findings.images[len(row["image_sizes"])] += 1
        cards = findings.cards.setdefault(row["source"], [])
        if len(cards) < PER_SOURCE:
            cards.append(_sample(path, row))


def _sample(path: Place, row: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """A sample's JSON and its images."""
    spans = [(row["json_offset"], row["json_size"]), *zip(row["image_offsets"], row["image_sizes"], strict=True)]
    content, *images = [Storage().read_range(str(path), start, start + size) for start, size in spans]
    return orjson.loads(content), images


def _bucket(length: int) -> str:
    below = next((edge for edge in EDGES if length <= edge), None)
    return f"<= {below:,}" if below is not None else f"> {EDGES[-1]:,}"


def page(findings: Findings) -> str:
    """The whole page; it loads nothing."""
    data = findings.data()
    kinds = [(f"{source}, {language}", NAMES[task], count(n)) for source, task, language, n in data["kinds"]]
    body = tag(
        "main",
        tag("h1", f"Text: {data['name']}"),
        tag("p", f"{count(data['samples'])} samples, dataset {data['hash']}"),
        _section("Rows", "Every input row has one verdict; each column adds up.", _verdicts(data["verdicts"])),
        _section("Samples", "By source and language.", table(("", "task", "samples"), kinds)),
        *(
            _section(f"Characters of a sample: {NAMES[task].lower()}", "", _bars(findings.lengths[task]))
            for task in sorted(findings.lengths)
        ),
        *(_cards(source, found) for source, found in sorted(findings.cards.items())),
    )
    head = join([Html('<meta charset="utf-8">'), Html('<meta name="viewport" content="width=device-width">')])
    head = join([head, tag("title", f"Text: {data['name']}"), tag("style", Html(STYLE))])
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def _section(title: str, lead: str, *content: str) -> Html:
    return tag("section", tag("h2", title), tag("p", lead) if lead else Html(""), *content)


def _verdicts(verdicts: dict[str, dict[str, int]]) -> Html:
    words = sorted({word for each in verdicts.values() for word in each}, key=lambda word: (word != KEEP, word))
    totals = {source: sum(each.values()) for source, each in verdicts.items()}
    rows = [["rows in", *(count(totals[source]) for source in verdicts)]]
    rows += [[word, *(count(each[word]) if word in each else "" for each in verdicts.values())] for word in words]
    rows.append(["kept", *(percent(each.get(KEEP, 0), totals[source]) for source, each in verdicts.items())])
    return table(("", *verdicts), rows)


def _bars(counts: Counter[str]) -> Html:
    names = [*(f"<= {edge:,}" for edge in EDGES), f"> {EDGES[-1]:,}"]
    most = max(counts.values(), default=0) or 1
    rows = []
    for name in names:
        fill = tag("span.fill", attributes={"style": f"width:{100 * counts[name] / most:.1f}%"})
        rows.append(
            tag("div.bar", tag("span.label", name), tag("span.track", fill), tag("span.number", count(counts[name])))
        )
    return tag("div", *rows)


def _cards(source: str, found: list[tuple[dict[str, Any], list[bytes]]]) -> Html:
    cards = []
    for content, images in found:
        turns = [
            tag(f"div.turn.{turn['role']}", tag("span.role", f"{turn['role']}  "), foreign(turn["text"], SHOWN))
            for turn in content["turns"]
        ]
        origin = f"{content['origin']['file']} row {content['origin']['row']} · {content['language']}"
        cards.append(tag("article.card", *(_image(image) for image in images), *turns, tag("p.origin", origin)))
    return _section(source, "What is learnt has a ground of its own colour.", tag("div.cards", *cards))


def _image(data: bytes) -> Html:
    try:
        image = decode(data, 2 * SIDE)
    except PixelError as error:
        return tag("p", f"not shown: {error}")
    image.thumbnail((4 * SIDE, 2 * SIDE))
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=78)
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return tag("img", attributes={"src": source, "alt": ""})
