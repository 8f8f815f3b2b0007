"""Compare datasets: images that several of them hold, and what is in one dataset and not in the other.

Ids and images are compared by 64 bits of a hash. That takes 16 bytes of memory per image and 16 per sample, and about four
times as much while they are sorted. Among a billion images about 0.03 pairs would be taken for equal by chance.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import xxhash

from qvl.pipeline.shards.manifests import COUNTED
from qvl.pipeline.shards.reader import Dataset, read_index
from qvl.pipeline.shards.scan import scan_dataset
from qvl.training.pages.mix.content import Ints
from qvl.training.pages.mix.figures import (
    DatasetDifference,
    Duplicates,
    IdDifference,
    ImageDifference,
    RepeatedImages,
    ShareDifference,
    SharedImages,
)

EXAMPLES = 10
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class SampleHashes:
    """Hashes of a dataset: of each sample's id and JSON, in order; of each image's bytes; the sample that shows it."""

    ids: Hashes
    contents: Hashes
    images: Hashes
    owners: Ints


def read_hashes(dataset: Dataset) -> SampleHashes:
    """Read every sample's JSON once, and image bytes only where the JSON does not name their hash."""
    ids, contents, images, owners = array("Q"), array("Q"), array("Q"), array("q")
    for number, sample in enumerate(scan_dataset(dataset)):
        ids.append(xxhash.xxh3_64_intdigest(sample.key.encode()))
        contents.append(xxhash.xxh3_64_intdigest(sample.json))
        for digest in sample.image_hashes(sample.record()):
            images.append(int(digest[:16], 16))
            owners.append(number)
    id_hashes, content_hashes, image_hashes = (np.array(hashes, dtype=np.uint64) for hashes in (ids, contents, images))
    return SampleHashes(id_hashes, content_hashes, image_hashes, np.array(owners, dtype=np.int64))


class SampleIds:
    """The ids of a dataset's samples by their number; one shard's index is kept in memory."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._starts = np.cumsum([0, *(shard.samples for shard in dataset.shards)])
        self._kept: tuple[int, list[str]] | None = None

    def __getitem__(self, number: int) -> str:
        at = int(np.searchsorted(self._starts, number, side="right")) - 1
        if self._kept is None or self._kept[0] != at:
            self._kept = at, read_index(self._dataset.shards[at].index, ["key"])["key"].to_pylist()
        return self._kept[1][number - int(self._starts[at])]


def duplicates(datasets: Mapping[str, Dataset]) -> Duplicates:
    """Images shown more than once inside each dataset, and images that both of two datasets hold, with examples."""
    hashes = {name: read_hashes(dataset) for name, dataset in datasets.items()}
    ids = {name: SampleIds(dataset) for name, dataset in datasets.items()}
    inside = [_repeated(name, hashes[name], ids[name]) for name in datasets]
    across = [_shared(pair, hashes, ids) for pair in combinations(datasets, 2)]
    return Duplicates(inside, [shared for shared in across if shared.images])


def _repeated(name: str, hashes: SampleHashes, ids: SampleIds) -> RepeatedImages:
    """Repeated images of one dataset. Several samples of one image are usual in grounding and dialogues."""
    distinct, first, times = np.unique(hashes.images, return_index=True, return_counts=True)
    most_often = np.argsort(-times, kind="stable")[:EXAMPLES]
    return RepeatedImages(
        dataset=name,
        images=len(hashes.images),
        distinct=len(distinct),
        repeated=int((times > 1).sum()),
        examples=[
            (ids[int(hashes.owners[first[at]])], int(times[at])) for at in most_often.tolist() if times[at] > 1
        ],
    )  # fmt: skip


def _shared(pair: tuple[str, str], hashes: Mapping[str, SampleHashes], ids: Mapping[str, SampleIds]) -> SharedImages:
    """Images that both datasets of a pair hold."""
    first, second = (hashes[name] for name in pair)
    shared, in_first, in_second = np.intersect1d(first.images, second.images, return_indices=True)
    examples = zip(in_first[:EXAMPLES].tolist(), in_second[:EXAMPLES].tolist(), strict=True)
    return SharedImages(
        datasets=pair,
        images=len(shared),
        samples=[_samples(each, shared) for each in (first, second)],
        examples=[(ids[pair[0]][int(first.owners[a])], ids[pair[1]][int(second.owners[b])]) for a, b in examples],
    )


def _samples(hashes: SampleHashes, images: Hashes) -> int:
    """How many samples show any of these images."""
    return len(np.unique(hashes.owners[np.isin(hashes.images, images)]))


def difference(first: Dataset, second: Dataset) -> DatasetDifference:
    """What is in one dataset and not in the other, by id and by image; changed samples; changed shares."""
    a, b = read_hashes(first), read_hashes(second)
    images, others = np.unique(a.images), np.unique(b.images)
    return DatasetDifference(
        samples=[first.samples, second.samples],
        hash=[first.hash, second.hash],
        same_bytes=first.hash == second.hash,
        ids=_id_difference(a, b, (SampleIds(first), SampleIds(second))),
        images=ImageDifference(
            both=len(np.intersect1d(images, others)),
            only=[len(np.setdiff1d(images, others)), len(np.setdiff1d(others, images))],
        ),
        shares={kind: _shares(kind, first, second) for kind in COUNTED},
    )


def _id_difference(a: SampleHashes, b: SampleHashes, ids: tuple[SampleIds, SampleIds]) -> IdDifference:
    _, in_first, in_second = np.intersect1d(a.ids, b.ids, return_indices=True)
    changed = np.sort(in_first[a.contents[in_first] != b.contents[in_second]])
    only = [np.flatnonzero(~np.isin(one.ids, other.ids)) for one, other in ((a, b), (b, a))]
    return IdDifference(
        both=len(in_first),
        changed=len(changed),
        only=[len(numbers) for numbers in only],
        examples=[[ids[side][number] for number in only[side][:EXAMPLES].tolist()] for side in (0, 1)],
        changed_examples=[ids[0][number] for number in changed[:EXAMPLES].tolist()],
    )


def _shares(kind: str, first: Dataset, second: Dataset) -> list[ShareDifference]:
    counts = [Counter(dataset.manifest.counts[kind]) for dataset in (first, second)]
    totals = [max(1, count.total()) for count in counts]
    rows = [
        ShareDifference(
            name=name,
            samples=[count[name] for count in counts],
            shares=[count[name] / total for count, total in zip(counts, totals, strict=True)],
        )
        for name in sorted({*counts[0], *counts[1]})
    ]
    return sorted(rows, key=lambda row: -max(row.samples))
