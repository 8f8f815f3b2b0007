"""Writes ``OUT/report.html`` and ``OUT/report.json``: verdicts, lengths, languages, and samples as a model sees them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from pydantic import JsonValue

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.html.charts import counted_bars
from qvl.pipeline.html.document import Page, document
from qvl.pipeline.html.elements import Html, count, percent, table, tag, untrusted
from qvl.pipeline.html.pictures import framed
from qvl.pipeline.html.sections import Section, Tile, dataset_hash, header, section
from qvl.pipeline.images.decode import PixelError, decode
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.sample import SampleRecord, decode_sample
from qvl.pipeline.shards.writer import IndexRow
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

EDGES = (50, 100, 200, 500, 1_000, 2_000, 4_000)
PER_SOURCE = 8
SIDE = 150
SHOWN = 450
SUPERVISED = ("assistant", "text")  # roles whose text is trained on
NAMES = {"text": "Pure text", "chat": "Dialogues", "interleaved": "Interleaved documents"}


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A sample and the bytes of its images."""

    record: SampleRecord
    images: list[bytes]


@dataclass
class Findings:
    """What the page shows. ``kinds``: samples by (source, task, language); ``cards``: a few samples of each source."""

    dataset: DatasetManifest
    kinds: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lengths: dict[str, Counter[str]] = field(default_factory=dict)
    images: Counter[int] = field(default_factory=Counter)
    cards: dict[str, list[ShownSample]] = field(default_factory=dict)

    def to_json(self) -> dict[str, JsonValue]:
        """Everything but the pictures, as JSON values."""
        return {
            "name": self.dataset.name,
            "hash": self.dataset.hash,
            "samples": self.dataset.samples,
            "verdicts": {source: {**verdicts} for source, verdicts in self.dataset.verdicts.items()},
            "kinds": [[*kind, n] for kind, n in sorted(self.kinds.items())],
            "lengths": {task: {**lengths} for task, lengths in self.lengths.items()},
            "images": {str(n): times for n, times in sorted(self.images.items())},
        }


def write_report(out: AnyPath) -> AnyPath:
    """Write both files of a finished build and return the page's path. Raises ContractError if it is not finished."""
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None:
        raise ContractError(f"{out}: no finished build here; `qvl text build` creates one")
    findings = Findings(dataset)
    for shard in dataset.shards:
        _shard(layout.shard(shard.shard), layout.index(shard.shard), findings)
    replace_file(layout.report.with_suffix(".json"), orjson.dumps(findings.to_json(), option=orjson.OPT_INDENT_2))
    replace_file(layout.report, page(findings).encode())
    return layout.report


def _shard(path: AnyPath, index: AnyPath, findings: Findings) -> None:
    for row in read_parquet(index).to_pylist():
        findings.kinds[row["source"], row["task"], row["language"]] += 1
        findings.lengths.setdefault(row["task"], Counter())[_bucket(row["text_length"])] += 1
        findings.images[len(row["image_sizes"])] += 1
        cards = findings.cards.setdefault(row["source"], [])
        if len(cards) < PER_SOURCE:
            cards.append(_sample(path, row))


def _sample(path: AnyPath, row: IndexRow) -> ShownSample:
    """The sample of an index row."""
    spans = [(row["json_offset"], row["json_size"]), *zip(row["image_offsets"], row["image_sizes"], strict=True)]
    json, *images = [Storage().read_range(str(path), start, start + size) for start, size in spans]
    return ShownSample(decode_sample(json, str(path), row["key"]), images)


def _bucket(length: int) -> str:
    below = next((edge for edge in EDGES if length <= edge), None)
    return f"<= {below:,}" if below is not None else f"> {EDGES[-1]:,}"


def page(findings: Findings) -> str:
    """The whole page."""
    dataset = findings.dataset
    lengths = [_bars(task, findings.lengths[task]) for task in sorted(findings.lengths)]
    kinds = [
        (f"{source}, {language}", NAMES[task], count(n))
        for (source, task, language), n in sorted(findings.kinds.items())
    ]
    sections = [
        section(
            "rows", "Rows", "Every input row has exactly one verdict; each column adds up.", _verdicts(dataset.verdicts)
        ),
        section("samples", "Samples", "By source and language.", table(("source", "task", "samples"), kinds)),
        section("lengths", "Lengths", "Samples by their number of characters.", tag("div.pair", *lengths)),
        *(_cards(source, found) for source, found in sorted(findings.cards.items())),
    ]
    rows = sum(sum(verdicts.values()) for verdicts in dataset.verdicts.values())
    tiles = [Tile(count(rows), "rows in"), Tile(count(dataset.samples), "samples")]
    top = header("Text report", dataset.name, tiles, dataset_hash(dataset.hash))
    return document(Page(f"Text: {dataset.name}", dataset.name, top, sections))


def _verdicts(verdicts: Mapping[str, Mapping[str, int]]) -> Html:
    reasons = sorted(
        {reason for each in verdicts.values() for reason in each}, key=lambda reason: (reason != KEEP, reason)
    )
    totals = {source: sum(each.values()) for source, each in verdicts.items()}
    rows = [["rows in", *(count(totals[source]) for source in verdicts)]]
    rows += [
        [reason, *(count(each[reason]) if reason in each else "" for each in verdicts.values())] for reason in reasons
    ]
    rows.append(["kept", *(percent(each.get(KEEP, 0), totals[source]) for source, each in verdicts.items())])
    return table(("verdict", *verdicts), rows, ".numbers.last")


def _bars(task: str, counts: Counter[str]) -> Html:
    names = [*(f"<= {edge:,}" for edge in EDGES), f"> {EDGES[-1]:,}"]
    return counted_bars(NAMES[task], [(name, counts[name]) for name in names], [count(counts[name]) for name in names])


def _cards(source: str, found: list[ShownSample]) -> Section:
    cards = []
    for shown in found:
        record = shown.record
        turns = [_turn(turn.role, turn.text) for turn in record.turns]
        origin = f"{record.origin.file} row {record.origin.row} · {record.language}"
        cards.append(tag("article.card", *(_image(image) for image in shown.images), *turns, tag("p.origin", origin)))
    lead = "The highlighted text is what a model is trained to produce."
    return section(f"source-{source}", source, lead, tag("div.cards.flow", *cards))


def _turn(role: str, text: str) -> Html:
    supervised = ".supervised" if role in SUPERVISED else ""
    return tag(f"div.turn{supervised}", tag("span.role", f"{role}  "), untrusted(text, SHOWN))


def _image(data: bytes) -> Html:
    try:
        image = decode(data, 2 * SIDE)
    except PixelError as error:
        return tag("p.unseen", f"image not shown: {error}")
    image.thumbnail((4 * SIDE, 2 * SIDE))
    return framed(image.convert("RGB"), "JPEG", 78)
