"""The numbers of the report, from the ledger and the shards.

Rows, boxes and tasks are counted over everything. Distributions and phrases are taken from the first ``SAMPLED`` samples,
which are a random sample because the order is shuffled by a seed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.sample import SampleRecord, decode_sample
from qvl.pipeline.storage.arrow_files import parquet_file, read_parquet
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

SAMPLED = 200_000
GRID = 20
AREA_EDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.85)  # shares of the image
WORD_EDGES = (1, 2, 3, 5, 8, 12, 20)
PER_CELL = 6  # cards per task and source
TOP = 30
PAPER = {"grounded_caption": 3_500_000, "referring": 8_700_000, "region_caption": 8_700_000}

Counts = dict[str, Counter[str]]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Card:
    """A sample to be shown."""

    record: SampleRecord
    image: bytes


@dataclass(slots=True)
class Figures:
    """Nested counters are by source, then by reason, flag, benchmark, task or language."""

    dataset: DatasetManifest
    rows: Counter[str] = field(default_factory=Counter)
    verdicts: Counts = field(default_factory=dict)
    boxes_in: Counter[str] = field(default_factory=Counter)
    lost: Counts = field(default_factory=dict)
    flags: Counts = field(default_factory=dict)
    leaks: Counts = field(default_factory=dict)
    tasks: Counts = field(default_factory=dict)
    languages: Counts = field(default_factory=dict)
    per_image: Counter[int] = field(default_factory=Counter)  # images by their distinct boxes over all samples
    per_sample: Counter[int] = field(default_factory=Counter)
    areas: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    phrases: Counter[str] = field(default_factory=Counter)
    heat: list[list[int]] = field(default_factory=lambda: [[0] * GRID for _ in range(GRID)])
    sampled: int = 0
    cards: dict[str, list[Card]] = field(default_factory=dict)

    @property
    def parity(self) -> dict[str, tuple[int, int]]:
        """For each task of the paper's Table 3, the samples that were made and those of the paper."""
        made = {task: sum(counts[task] for counts in self.tasks.values()) for task in PAPER}
        return {task: (made[task], count) for task, count in PAPER.items()}

    def to_json(self) -> dict[str, JsonValue]:
        """Everything except the images, as JSON values: the content of ``report.json``."""
        names = (
            "rows", "verdicts", "boxes_in", "lost", "flags", "leaks", "tasks", "languages", "areas", "words", "heat",
        )  # fmt: skip
        plain = {name: getattr(self, name) for name in names}
        return {
            "name": self.dataset.name,
            "hash": self.dataset.hash,
            "samples": self.dataset.samples,
            "sampled": self.sampled,
            **plain,
            "boxes_per_sample": {str(number): count for number, count in sorted(self.per_sample.items())},
            "boxes_per_image": {str(number): count for number, count in sorted(self.per_image.items())},
            "top_phrases": [[phrase, count] for phrase, count in self.phrases.most_common(TOP)],
            "parity": {task: {"made": made, "paper": paper} for task, (made, paper) in self.parity.items()},
        }


def collect(out: AnyPath) -> Figures:
    """The figures of a finished build. Raises ContractError if there is none."""
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None:
        raise ContractError(f"{out}: no finished build here; `qvl ground build` creates one")
    figures = Figures(dataset)
    pairs = [pair for unit in dataset.units for pair in _ledger(layout.ledger(unit), figures)]
    figures.per_image = boxes_per_image(pairs)
    for shard in dataset.shards:
        _shard(layout.shard(shard.shard), layout.index(shard.shard), figures)
    return figures


def _ledger(path: AnyPath, figures: Figures) -> Iterator[Hashes]:
    """Count verdicts, dropped boxes, flags and leaks of one unit; yields the images and boxes of its kept rows."""
    columns = ["source", "verdict", "regions", "lost", "flags", "benchmarks", "image", "boxes"]
    with parquet_file(path) as file:
        for batch in file.iter_batches(65_536, columns=columns, use_threads=False):
            yield image_boxes(batch.filter(pc.is_valid(batch["image"])))
            for row in batch.select(columns[:6]).to_pylist():
                source = row["source"]
                figures.rows[source] += 1
                figures.boxes_in[source] += row["regions"]
                figures.verdicts.setdefault(source, Counter())[row["verdict"]] += 1
                figures.lost.setdefault(source, Counter()).update(row["lost"])
                figures.flags.setdefault(source, Counter()).update(row["flags"])
                figures.leaks.setdefault(source, Counter()).update(row["benchmarks"])


def image_boxes(batch: pa.RecordBatch) -> Hashes:
    """A row (image, box) per box and a row (image, 0) per ledger row, so that images without boxes are counted too."""
    images, boxes = batch["image"], batch["boxes"]
    owners = images.take(pc.list_parent_indices(boxes))
    first = np.concatenate([owners.to_numpy(zero_copy_only=False), images.to_numpy(zero_copy_only=False)])
    second = np.concatenate([boxes.flatten().to_numpy(zero_copy_only=False), np.zeros(len(images), np.uint64)])
    return np.unique(np.stack([first.astype(np.uint64), second.astype(np.uint64)], axis=1), axis=0)


def boxes_per_image(pairs: list[Hashes]) -> Counter[int]:
    """The number of images by their number of distinct boxes."""
    if not pairs:
        return Counter()
    each = np.unique(np.concatenate(pairs), axis=0)
    _, boxes = np.unique(each[:, 0], return_counts=True)
    numbers, images = np.unique(boxes - 1, return_counts=True)
    return Counter(dict(zip(numbers.tolist(), images.tolist(), strict=True)))


def _shard(path: AnyPath, index: AnyPath, figures: Figures) -> None:
    table = read_parquet(
        index, ["key", "source", "task", "language", "json_offset", "json_size", "image_offsets", "image_sizes"]
    )
    for source, task, language in zip(*(table[c].to_pylist() for c in ("source", "task", "language")), strict=True):
        figures.tasks.setdefault(source, Counter())[task] += 1
        figures.languages.setdefault(source, Counter())[language] += 1
    if figures.sampled >= SAMPLED:
        return
    with Storage().mapped(str(path)) as data:
        for row in table.to_pylist():
            text = bytes(data[row["json_offset"] : row["json_offset"] + row["json_size"]])
            record = decode_sample(text, str(path), row["key"])
            _count_boxes(record, figures)
            cards = figures.cards.setdefault(f"{record.task}/{record.source}", [])
            if len(cards) < PER_CELL and row["image_offsets"] and _is_new_image(record, cards):
                start, size = row["image_offsets"][0], row["image_sizes"][0]
                cards.append(Card(record, bytes(data[start : start + size])))


def _is_new_image(record: SampleRecord, cards: list[Card]) -> bool:
    """Whether no card shows this image yet."""
    return all(card.record.origin.sha != record.origin.sha for card in cards)


def _count_boxes(record: SampleRecord, figures: Figures) -> None:
    """Count the boxes and phrases of one sample."""
    figures.sampled += 1
    figures.per_sample[len(record.regions)] += 1
    for region in record.regions:
        assert region.box is not None  # this builder writes boxes only
        x1, y1, x2, y2 = region.box
        figures.areas[_bucket((x2 - x1) * (y2 - y1), AREA_EDGES)] += 1
        figures.words[_bucket(_length(region.phrase), WORD_EDGES)] += 1
        figures.phrases[region.phrase.casefold()] += 1
        for row, column in _cells((x1, y1, x2, y2)):
            figures.heat[row][column] += 1


def _length(phrase: str) -> int:
    """The number of words; in scripts without blanks between words, of characters."""
    return len(phrase.split()) if phrase.isascii() else len(phrase.replace(" ", ""))


def _bucket(value: float, edges: tuple[float, ...]) -> str:
    below = next((edge for edge in edges if value <= edge), None)
    return f"<= {below:g}" if below is not None else f"> {edges[-1]:g}"


def _cells(box: tuple[float, float, float, float]) -> Iterator[tuple[int, int]]:
    """The cells of the heat map whose centre is inside the box, as (row, column)."""
    for row in range(GRID):
        for column in range(GRID):
            x, y = (column + 0.5) / GRID, (row + 0.5) / GRID
            if box[0] <= x <= box[2] and box[1] <= y <= box[3]:
                yield row, column
