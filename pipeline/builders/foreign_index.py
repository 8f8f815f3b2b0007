"""Write an index and ``dataset.json`` next to tars whose samples are already in our format, without copying anything."""

from collections import Counter
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.commit.fingerprint import file_hash, file_identity, fingerprint, merkle_root
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.records import encode
from qvl.pipeline.images.header import HeaderError, read_header
from qvl.pipeline.shards.manifests import COUNTED, DatasetManifest, ShardEntry
from qvl.pipeline.shards.sample import decode_sample
from qvl.pipeline.shards.writer import BLOCK, INDEX, IndexRow
from qvl.pipeline.sources.tar_index import Member, index_tar
from qvl.pipeline.storage.atomic import replace_file, replacing
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.takedown.journal import finish_takedown

FIELDS = ("id", "source", "task", "language", "turns", "origin")


def tars_of(folder: Path) -> list[Path]:
    """The tars of a folder, sorted by name. Raises RecipeError if there are none."""
    found = sorted(folder.glob("*.tar")) if folder.is_dir() else []
    if not found:
        raise RecipeError(f"{folder}: not a folder with *.tar files")
    return found


def is_own(tar: Path) -> bool:
    """Whether the first JSON of a tar is a sample in our format. Raises DataError for a truncated or corrupted tar."""
    with Storage().mapped(str(tar)) as data:
        for member in _members(tar, data):
            if member.name.endswith(".json"):
                try:
                    content = orjson.loads(data[member.offset : member.offset + member.size])
                except orjson.JSONDecodeError:
                    return False
                return isinstance(content, dict) and all(field in content for field in FIELDS)
    return False


def _members(tar: Path, data: memoryview) -> list[Member]:
    found = index_tar(data)
    if found.fault:
        raise DataError(f"{tar}: {found.fault}; fetch it again, or leave it out")
    return found.members


def index_beside(folder: Path, name: str) -> DatasetManifest:
    """Write the indexes, then ``dataset.json``, and return the latter.

    Raises DataError for samples that are not in our format, RecipeError for a table that is not one of our indexes, and
    QvlError if another command writes to the folder.
    """
    tars = tars_of(folder)
    for tar in tars:
        existing = tar.with_suffix(".parquet")
        if existing.exists() and pq.read_schema(existing).names != INDEX.names:
            raise RecipeError(
                f"{existing} is not one of our indexes and would be overwritten; move it, or use --output"
            )
    with output_lock(folder):
        finish_takedown(folder)
        return _index_tars(tars, folder, name)


def _index_tars(tars: list[Path], folder: Path, name: str) -> DatasetManifest:
    shards, counts = [], {kind: Counter[str]() for kind in COUNTED}
    for tar in tars:
        before = file_identity(Storage(), str(tar))
        table = _index(tar)
        for kind, count in counts.items():
            count.update(table[kind.removesuffix("s")].to_pylist())
        shards.append(_write_index(tar, table))
        if file_identity(Storage(), str(tar)) != before:
            raise DataError(f"{tar} changed while it was read; run the same command again when nothing writes to it")
    samples = sum(shard.samples for shard in shards)
    lineage: dict[str, JsonValue] = {"indexed": [tar.name for tar in tars], "rows": samples}
    manifest = DatasetManifest(
        name=name,
        fingerprint=fingerprint(lineage),
        samples=samples,
        bytes=sum(shard.bytes for shard in shards),
        sources=dict(sorted(counts["sources"].items())),
        languages=dict(sorted(counts["languages"].items())),
        tasks=dict(sorted(counts["tasks"].items())),
        hash=merkle_root(shard.hash for shard in shards),
        shards=tuple(shards),
        lineage=lineage,
    )
    replace_file(folder / "dataset.json", encode(manifest))
    return manifest


def _write_index(tar: Path, table: pa.Table) -> ShardEntry:
    """Write the index of a tar, and return the shard's entry in ``dataset.json``."""
    target = tar.with_suffix(".parquet")
    with replacing(target) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    return ShardEntry(
        shard=tar.stem,
        samples=table.num_rows,
        bytes=tar.stat().st_size,
        image_bytes=sum(map(sum, table["image_sizes"].to_pylist())),
        hash=file_hash(tar),
        index_hash=file_hash(target),
    )


def _index(tar: Path) -> pa.Table:
    """The index of a tar. As the shard writer writes them, a sample's images come before its JSON, which ends the sample."""
    rows, start = [], 0
    with Storage().mapped(str(tar)) as data:
        waiting: list[Member] = []
        for member in _members(tar, data):
            waiting.append(member)
            if member.name.endswith(".json"):
                end = member.offset + -(-member.size // BLOCK) * BLOCK
                rows.append(_row(tar, data, waiting, start, end))
                start, waiting = end, []
        if waiting:
            raise DataError(f"{tar}: {waiting[0].name} does not belong to a sample; convert the tar with --output")
    return pa.Table.from_pylist(rows, INDEX)


def _row(tar: Path, data: memoryview, members: list[Member], start: int, end: int) -> IndexRow:
    """The index row of a sample whose members lie between two offsets of the tar."""
    *images, json = members
    try:
        record = decode_sample(bytes(data[json.offset : json.offset + json.size]), str(tar), json.name)
    except DataError as error:
        raise DataError(f"{error}; this is not a sample in our format, convert the tar with --output") from None
    key = record.id
    if json.name != f"{key}.json" or any(not image.name.startswith(f"{key}.") for image in images):
        raise DataError(f"{tar}: {json.name} does not follow its own images; convert the tar with --output")
    try:
        headers = [read_header(data[image.offset : image.offset + image.size]) for image in images]
    except HeaderError as error:
        raise DataError(f"{tar}: an image of {key} cannot be read: {error}") from None
    return {
        "key": key, "offset": start, "size": end - start,
        "source": record.source, "task": record.task, "language": record.language,
        "text_length": record.text_length,
        "image_offsets": [image.offset for image in images], "image_sizes": [image.size for image in images],
        "json_offset": json.offset, "json_size": json.size,
        "widths": [header.width for header in headers], "heights": [header.height for header in headers],
        "extensions": [image.name.rpartition(".")[2] for image in images],
        "origin_file": record.origin.file, "origin_row": record.origin.row,
    }  # fmt: skip
