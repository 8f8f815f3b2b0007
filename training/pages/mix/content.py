"""What the shards of a part hold, read from their indexes alone: counts by task, source and language, two histograms."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.shards.reader import Indexes
from qvl.training.data.parts import MixPart

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Kind = tuple[str, str, str]
KIND = ("task", "source", "language")
COLUMNS = (*KIND, "text_length", "image_sizes", "widths", "heights")
RESOLUTION_EDGES = (112, 224, 448, 896, 1792)
RESOLUTIONS = ("under 112", "112–223", "224–447", "448–895", "896–1,791", "1,792 and more")
LENGTH_EDGES = (21, 51, 101, 201, 501, 1001, 4001)
LENGTHS = ("0–20", "21–50", "51–100", "101–200", "201–500", "501–1,000", "1,001–4,000", "over 4,000")


@dataclass
class Cell:
    """Counts of the samples of one task, source and language. ``bytes`` counts the images' bytes.

    ``tokens`` is filled in by ``count_tokens``.
    """

    samples: int = 0
    images: int = 0
    bytes: int = 0
    characters: int = 0
    tokens: float = 0.0


@dataclass
class Content:
    """Counts of a part. ``resolutions``: images by their shorter side; ``lengths``: samples by characters; both by task."""

    cells: dict[Kind, Cell] = field(default_factory=dict)
    resolutions: dict[str, Ints] = field(default_factory=dict)
    lengths: dict[str, Ints] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        return sum(cell.samples for cell in self.cells.values())


def read_content(part: MixPart) -> Content:
    """Read the indexes of a part, one shard at a time. Raises DataError for an index that cannot be read."""
    content, indexes = Content(), Indexes(COLUMNS, keep=1)
    for shard in part.dataset.shards:
        table = indexes.table(shard, part.selection)
        if table.num_rows:
            _add(content, table)
    return content


def _add(content: Content, table: pa.Table) -> None:
    images = pc.list_value_length(table["image_sizes"])
    sizes = pa.array(_sums(table["image_sizes"]))
    columns = table.select([*KIND, "text_length"]).append_column("images", images).append_column("bytes", sizes)
    sums = [("text_length", "count"), ("text_length", "sum"), ("images", "sum"), ("bytes", "sum")]
    for row in columns.group_by(list(KIND)).aggregate(sums).to_pylist():
        cell = content.cells.setdefault((row["task"], row["source"], row["language"]), Cell())
        cell.samples += row["text_length_count"]
        cell.characters += row["text_length_sum"]
        cell.images += row["images_sum"]
        cell.bytes += row["bytes_sum"]
    tasks = np.array(table["task"].to_pylist())
    owners = tasks[pc.list_parent_indices(table["widths"]).to_numpy()]
    sides = np.minimum(*(pc.list_flatten(table[name]).to_numpy() for name in ("widths", "heights")))
    for task in np.unique(tasks).tolist():
        _count(content.lengths, task, table["text_length"].to_numpy()[tasks == task], LENGTH_EDGES)
        _count(content.resolutions, task, sides[owners == task], RESOLUTION_EDGES)


def _sums(lists: pa.ChunkedArray) -> Ints:
    """The sum of each list, 0 for an empty one."""
    values, owners = pc.list_flatten(lists).to_numpy(), pc.list_parent_indices(lists).to_numpy()
    sums: Ints = np.zeros(len(lists), dtype=np.int64)
    np.add.at(sums, owners, values)
    return sums


def _count(histograms: dict[str, Ints], task: str, values: npt.NDArray[np.int32], edges: tuple[int, ...]) -> None:
    """Add values to a task's histogram; a value equal to an edge belongs to the bucket above it."""
    buckets = np.searchsorted(edges, values, side="right")
    counts = np.bincount(buckets, minlength=len(edges) + 1)
    histograms[task] = counts if task not in histograms else histograms[task] + counts
