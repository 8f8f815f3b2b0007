"""Datasets held against one another: images that several hold, and what is in one and not in the other.

Ids and images are compared by 64 bits of a hash: 16 bytes of memory for an image and 16 for a sample, about four times that
while they are sorted; among a billion images about 0.03 pairs would be taken for equal by chance.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from qvl.pipeline.shards.dataset import COUNTED
from qvl.pipeline.shards.reader import Dataset, read_index
from qvl.pipeline.shards.scan import scan_dataset

EXAMPLES = 10
Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SampleHashes:
    """Of a dataset, by sample in order: its id and its JSON; by image: its bytes, and the sample that shows it."""

    ids: Words
    contents: Words
    images: Words
    owners: Ints


def read_hashes(dataset: Dataset) -> SampleHashes:
    """Read every sample's JSON once; images only where the JSON does not name their hash."""
    ids, contents, images, owners = array("Q"), array("Q"), array("Q"), array("q")
    for number, sample in enumerate(scan_dataset(dataset)):
        ids.append(xxhash.xxh3_64_intdigest(sample.key.encode()))
        contents.append(xxhash.xxh3_64_intdigest(sample.json))
        for digest in sample.image_hashes(sample.content()):
            images.append(int(digest[:16], 16))
            owners.append(number)
    first, second, third = (np.array(column, dtype=np.uint64) for column in (ids, contents, images))
    return SampleHashes(first, second, third, np.array(owners, dtype=np.int64))


class Keys:
    """Ids of samples by their number in a dataset; the index of one shard is kept."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._starts = np.cumsum([0, *(shard.samples for shard in dataset.shards)])
        self._kept: tuple[int, list[str]] | None = None

    def __getitem__(self, number: int) -> str:
        at = int(np.searchsorted(self._starts, number, side="right")) - 1
        if self._kept is None or self._kept[0] != at:
            self._kept = at, read_index(self._dataset.shards[at].index, ["key"])["key"].to_pylist()
        return self._kept[1][number - int(self._starts[at])]


def duplicates(datasets: Mapping[str, Dataset]) -> dict[str, Any]:
    """Images shown more than once: inside each dataset, and in both of each pair, with examples."""
    marks = {name: read_hashes(dataset) for name, dataset in datasets.items()}
    keys = {name: Keys(dataset) for name, dataset in datasets.items()}
    inside = [_inside(name, found, keys[name]) for name, found in marks.items()]
    across = []
    for first, second in combinations(datasets, 2):
        shared, at, there = np.intersect1d(marks[first].images, marks[second].images, return_indices=True)
        if len(shared):
            shown = zip(at[:EXAMPLES].tolist(), there[:EXAMPLES].tolist(), strict=True)
            across.append(
                {
                    "datasets": [first, second],
                    "images": len(shared),
                    "samples": [_samples(marks[name], shared) for name in (first, second)],
                    "examples": [
                        [keys[first][int(marks[first].owners[a])], keys[second][int(marks[second].owners[b])]]
                        for a, b in shown
                    ],
                }
            )
    return {"inside": inside, "across": across}


def _inside(name: str, marks: SampleHashes, keys: Keys) -> dict[str, Any]:
    """Images of one dataset. That several samples show one picture is usual in grounding and dialogues."""
    found, first, times = np.unique(marks.images, return_index=True, return_counts=True)
    often = np.argsort(-times, kind="stable")[:EXAMPLES]
    return {
        "dataset": name,
        "images": len(marks.images),
        "distinct": len(found),
        "repeated": int((times > 1).sum()),
        "examples": [[keys[int(marks.owners[first[at]])], int(times[at])] for at in often.tolist() if times[at] > 1],
    }


def _samples(marks: SampleHashes, images: Words) -> int:
    return len(np.unique(marks.owners[np.isin(marks.images, images)]))


def difference(first: Dataset, second: Dataset) -> dict[str, Any]:
    """What is in one and not in the other by id and by image, samples with the same id and other content, shares."""
    a, b = read_hashes(first), read_hashes(second)
    keys = Keys(first), Keys(second)
    _, at, there = np.intersect1d(a.ids, b.ids, return_indices=True)
    changed = np.sort(at[a.contents[at] != b.contents[there]])
    only = [np.flatnonzero(~np.isin(one.ids, other.ids)) for one, other in ((a, b), (b, a))]
    images, others = np.unique(a.images), np.unique(b.images)
    return {
        "samples": [first.samples, second.samples],
        "hash": [first.hash, second.hash],
        "same_bytes": first.hash == second.hash,
        "ids": {
            "both": len(at),
            "changed": len(changed),
            "only": [len(numbers) for numbers in only],
            "examples": [
                [keys[side][number] for number in only[side][:EXAMPLES].tolist()] for side in (0, 1)
            ],
            "changed_examples": [keys[0][number] for number in changed[:EXAMPLES].tolist()],
        },
        "images": {
            "both": len(np.intersect1d(images, others)),
            "only": [len(np.setdiff1d(images, others)), len(np.setdiff1d(others, images))],
        },
        "shares": {kind: _shares(kind, first, second) for kind in COUNTED},
    }  # fmt: skip


def _shares(kind: str, first: Dataset, second: Dataset) -> list[dict[str, Any]]:
    counts = [Counter(dataset.content[kind]) for dataset in (first, second)]
    totals = [max(1, count.total()) for count in counts]
    rows = [
        {
            "name": name,
            "samples": [count[name] for count in counts],
            "shares": [count[name] / total for count, total in zip(counts, totals, strict=True)],
        }
        for name in sorted({*counts[0], *counts[1]})
    ]
    return sorted(rows, key=lambda row: -max(row["samples"]))
