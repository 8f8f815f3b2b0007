"""The part of the audit that reads shards back: members, index, order and bytes, one shard at a time."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import orjson
import xxhash

from qvl.pipeline.commit.fingerprint import file_hash, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.shards.manifests import COUNTED, DatasetManifest, ShardManifest
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

Value = TypeVar("Value")


class DiscrepancyError(Exception):
    """The first thing that does not add up."""


class Expected(NamedTuple):
    """A sample that a shard must hold: its key and, in a curation, its image's hash and its caption."""

    key: str
    image_hash: bytes | None = None
    caption: str | None = None


def require(condition: bool, message: str) -> None:
    """Raise DiscrepancyError where the condition does not hold."""
    if not condition:
        raise DiscrepancyError(message)


def found(value: Value | None, message: str) -> Value:
    """The value. Raises DiscrepancyError where there is none."""
    if value is None:
        raise DiscrepancyError(message)
    return value


def require_bytes(path: AnyPath, digest: str) -> None:
    """The file is there and its bytes are those that were committed."""
    name = f"{path.parent.name}/{path.name}"
    again = "; run the same command again, it is made anew"
    require(path.is_file(), f"{name} is missing{again}")
    require(file_hash(path) == digest, f"{name}: its bytes are not those that were committed; delete it{again}")


def audit_shards(
    layout: Layout[AnyPath],
    dataset: DatasetManifest,
    plans: list[ShardPlan],
    expected: Callable[[ShardPlan], list[Expected]],
) -> None:
    """Every shard is there, holds just what follows from the verdicts, in order, and ``dataset.json`` says so."""
    names = [shard.shard for shard in dataset.shards]
    require(
        names == [plan.name for plan in plans], f"dataset.json lists {len(names)} shards, {len(plans)} follow from it"
    )
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in COUNTED}
    for shard, plan in zip(dataset.shards, plans, strict=True):
        manifest = read_manifest(layout.shard_manifest(plan.name), ShardManifest)
        agree = manifest is not None and manifest.entry == shard
        require(agree, f"{plan.name}: dataset.json and its manifest disagree")
        require_bytes(layout.shard(plan.name), shard.hash)
        require_bytes(layout.index(plan.name), shard.index_hash)
        _audit_members(layout, plan, expected(plan), counts)
    stated = dataset.counts
    found = {kind: dict(sorted(counter.items())) for kind, counter in counts.items()}
    require(stated == found, f"the shards hold {found}, dataset.json says {stated}")
    samples, size = sum(shard.samples for shard in dataset.shards), sum(shard.bytes for shard in dataset.shards)
    require(samples == dataset.samples, f"the shards have {samples} samples, dataset.json says {dataset.samples}")
    require(size == dataset.bytes, f"the shards have {size} bytes, dataset.json says {dataset.bytes}")
    require(merkle_root(s.hash for s in dataset.shards) == dataset.hash, "the dataset hash is not its shards'")
    stray = sorted({path.stem for path in layout.dataset.parent.glob("*.tar")} - set(names))
    require(not stray, f"shards/{''.join(stray[:1])}.tar belongs to no manifest")


def _audit_members(
    layout: Layout[AnyPath], plan: ShardPlan, rows: list[Expected], counts: dict[str, Counter[str]]
) -> None:
    """Members, index and verdicts agree; the image bytes are the source's."""
    name = f"{plan.name}.tar"
    index = read_parquet(layout.index(plan.name)).to_pylist()
    keys = [row["key"] for row in index]
    require(keys == [row.key for row in rows], f"{name}: its samples are not those that the verdicts and the seed give")
    with Storage().mapped(str(layout.shard(plan.name))) as data:
        found = index_tar(data)
        require(found.fault is None, f"{name}: {found.fault}")
        members = sum(1 + len(row["image_offsets"]) for row in index)
        require(len(found.members) == members, f"{name}: {len(found.members)} members, its index knows {members}")
        for row, wanted in zip(index, rows, strict=True):
            content = orjson.loads(data[row["json_offset"] : row["json_offset"] + row["json_size"]])
            require(
                content["id"] == row["key"], f"{name}: the index points {row['key']} to the JSON of {content['id']}"
            )
            for kind in COUNTED:
                counts[kind][content[kind.removesuffix("s")]] += 1
            if wanted.image_hash is not None:
                start = row["image_offsets"][0]
                image = data[start : start + row["image_sizes"][0]]
                same = xxhash.xxh3_128_digest(image) == wanted.image_hash
                require(same, f"{name}: the image of {row['key']} is not the source's")
                require(
                    content["turns"][-1]["text"].strip() == wanted.caption, f"{name}: {row['key']} has another caption"
                )
