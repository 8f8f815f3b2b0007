"""The part of the audit that reads shards back: members, index, order and bytes, one shard at a time."""

from collections import Counter
from typing import TypeVar

import xxhash

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.fingerprint import file_hash, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.finished.expected_samples import ExpectedSample, ExpectedSamples
from qvl.pipeline.shards.manifests import COUNTED, DatasetManifest, ShardManifest
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.sample import SampleRecord, decode_sample
from qvl.pipeline.shards.writer import INDEX, IndexRow
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

Counts = dict[str, Counter[str]]  # samples by source, language and task
Value = TypeVar("Value")


class DiscrepancyError(Exception):
    """The first thing that does not add up."""


def require(condition: bool, message: str) -> None:
    """Raise DiscrepancyError unless the condition holds."""
    if not condition:
        raise DiscrepancyError(message)


def require_found(value: Value | None, message: str) -> Value:
    """The value. Raises DiscrepancyError if it is None."""
    if value is None:
        raise DiscrepancyError(message)
    return value


def require_bytes(path: AnyPath, digest: str) -> None:
    """Raise DiscrepancyError unless the file exists with the bytes that were committed."""
    name = f"{path.parent.name}/{path.name}"
    rebuild = "run the same command again to rebuild it"
    require(path.is_file(), f"{name} is missing; {rebuild}")
    require(file_hash(path) == digest, f"{name} was changed after it was committed; delete it and {rebuild}")


def audit_shards(
    layout: Layout[AnyPath], dataset: DatasetManifest, plans: list[ShardPlan], expected: ExpectedSamples
) -> None:
    """Raise DiscrepancyError unless every shard exists, holds the expected samples in order, and dataset.json agrees."""
    names = [shard.shard for shard in dataset.shards]
    planned = [plan.name for plan in plans]
    require(names == planned, f"dataset.json lists {len(names)} shards, but {len(planned)} follow from it")
    counts: Counts = {kind: Counter() for kind in COUNTED}
    for shard, plan in zip(dataset.shards, plans, strict=True):
        manifest = read_manifest(layout.shard_manifest(plan.name), ShardManifest)
        agree = manifest is not None and manifest.entry == shard
        require(agree, f"{plan.name}: dataset.json and its manifest disagree")
        require_bytes(layout.shard(plan.name), shard.hash)
        require_bytes(layout.index(plan.name), shard.index_hash)
        _audit_members(layout, plan, expected.of_shard(plan), counts)
    _require_sums(dataset, counts)
    stray = sorted({path.stem for path in layout.dataset.parent.glob("*.tar")} - set(names))
    require(not stray, f"shards/{''.join(stray[:1])}.tar belongs to no manifest")


def _require_sums(dataset: DatasetManifest, counts: Counts) -> None:
    found = {kind: dict(sorted(counter.items())) for kind, counter in counts.items()}
    require(dataset.counts == found, f"the shards hold {found}, dataset.json says {dataset.counts}")
    samples, size = sum(shard.samples for shard in dataset.shards), sum(shard.bytes for shard in dataset.shards)
    require(samples == dataset.samples, f"the shards have {samples} samples, dataset.json says {dataset.samples}")
    require(size == dataset.bytes, f"the shards have {size} bytes, dataset.json says {dataset.bytes}")
    root = merkle_root(shard.hash for shard in dataset.shards)
    require(root == dataset.hash, "the hash of dataset.json does not follow from its shards")


def _audit_members(layout: Layout[AnyPath], plan: ShardPlan, expected: list[ExpectedSample], counts: Counts) -> None:
    """Compare the members and the index of a shard with the expected samples, and count the samples."""
    name = f"{plan.name}.tar"
    index = read_parquet(layout.index(plan.name), needed=INDEX.names).to_pylist()
    same_keys = [row["key"] for row in index] == [sample.key for sample in expected]
    require(same_keys, f"{name}: its samples are not those that follow from the verdicts and the seed")
    with Storage().mapped(str(layout.shard(plan.name))) as data:
        tar = index_tar(data)
        require(tar.fault is None, f"{name}: {tar.fault}")
        members = sum(1 + len(row["image_offsets"]) for row in index)
        require(len(tar.members) == members, f"{name} has {len(tar.members)} members, but its index has {members}")
        for row, sample in zip(index, expected, strict=True):
            record = _record(name, row, data)
            counts["sources"][record.source] += 1
            counts["languages"][record.language] += 1
            counts["tasks"][record.task] += 1
            if sample.image_hash is not None:
                _audit_pair(name, row, sample, data, record)


def _record(name: str, row: IndexRow, data: memoryview) -> SampleRecord:
    """The JSON of a sample, which must be that of the index row."""
    key, text = row["key"], bytes(data[row["json_offset"] : row["json_offset"] + row["json_size"]])
    try:
        record = decode_sample(text, name, key)
    except DataError as error:
        raise DiscrepancyError(str(error)) from None
    require(record.id == key, f"{name}: the index points to the JSON of {record.id} instead of that of {key}")
    return record


def _audit_pair(name: str, row: IndexRow, sample: ExpectedSample, data: memoryview, record: SampleRecord) -> None:
    """Compare the image of a curated sample with its scanned hash, and its caption and ``meta`` with the ledger's."""
    start = row["image_offsets"][0]
    same_image = xxhash.xxh3_128_digest(data[start : start + row["image_sizes"][0]]) == sample.image_hash
    require(same_image, f"{name}: the image of {row['key']} is not that of the source")
    text = record.turns[-1].text.strip()
    require(text == sample.caption, f"{name}: the caption of {row['key']} is not that of the ledger")
    require(record.meta == (sample.meta or {}), f"{name}: the meta of {row['key']} is not that of the ledger")
