"""Iterate over every sample of a dataset, shard by shard, with its JSON and the hashes of its images."""

from collections.abc import Iterator
from dataclasses import dataclass

from qvl.pipeline.commit.fingerprint import content_hash
from qvl.pipeline.shards.reader import Dataset, ShardFile, read_index
from qvl.pipeline.shards.sample import SampleRecord, decode_sample
from qvl.pipeline.shards.sample_bytes import ShardBytes

COLUMNS = ["key", "json_offset", "json_size", "image_offsets", "image_sizes"]


@dataclass(frozen=True, slots=True)
class ScannedSample:
    """A sample in its shard. ``json`` holds the bytes of ``<key>.json``; ``images`` are (offset, size) in the tar."""

    shard: ShardFile
    row: int
    key: str
    json: bytes
    images: tuple[tuple[int, int], ...]
    reader: ShardBytes

    def record(self) -> SampleRecord:
        """The sample's JSON. Raises DataError if it is not that of a sample."""
        return decode_sample(self.json, self.shard.tar, self.key)

    def image(self, number: int) -> bytes:
        """The bytes of one of its images."""
        return self.reader.read(self.shard.tar, *self.images[number])

    def image_hashes(self, record: SampleRecord) -> list[str]:
        """Hex xxh3-128 of each image: ``origin.sha`` if the sample has one image and states it, else from the bytes."""
        if len(self.images) == 1 and record.origin.sha:
            return [record.origin.sha]
        return [content_hash(self.image(number)) for number in range(len(self.images))]


def scan_dataset(dataset: Dataset) -> Iterator[ScannedSample]:
    """All samples in order. Raises DataError for a truncated shard or an index that cannot be read."""
    reader = ShardBytes()
    try:
        for shard in dataset.shards:
            index = read_index(shard.index, COLUMNS)
            columns = (index.column(name).to_pylist() for name in COLUMNS)
            for row, (key, offset, size, starts, sizes) in enumerate(zip(*columns, strict=True)):
                spans = tuple(zip(starts, sizes, strict=True))
                yield ScannedSample(shard, row, key, reader.read(shard.tar, offset, size), spans, reader)
    finally:
        reader.close()
