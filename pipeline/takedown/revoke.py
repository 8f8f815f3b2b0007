"""Takedown: samples leave the shards that hold them; all other shards keep their bytes.

New files are first written into a folder next to the output's own. A journal, created in one step, then lists what replaces
what. If the takedown is killed before the journal exists, nothing has changed; if later, the next call finishes the work.
The record of what was taken down is replaced by the same journal, so a sample is out of the shards if and only if it is on
record. Other traces of a sample in the output are removed as well: its bytes in a build's units and the page with pictures.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.commit.fingerprint import file_hash, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.commit.records import encode
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.cut import CutShard, cut_shard
from qvl.pipeline.shards.manifests import COUNTED, ShardEntry, ShardManifest
from qvl.pipeline.shards.reader import Dataset, absent_files, open_dataset, read_index
from qvl.pipeline.shards.revoked import RevokedSample, encode_revoked, read_revoked
from qvl.pipeline.shards.scan import scan_dataset
from qvl.pipeline.storage.atomic import sync
from qvl.pipeline.takedown.blanked_units import HeldSamples, blank_samples, samples_held
from qvl.pipeline.takedown.journal import Move, finish_takedown, write_journal
from qvl.pipeline.takedown.requests import KINDS, TakedownList

Revocations = dict[str, dict[int, RevokedSample]]  # by shard and row


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of a dataset's shards. ``layout`` is that of the output, or of the bare folder of shards (``bare``)."""

    layout: Layout
    folder: Path
    bare: bool

    @property
    def page(self) -> tuple[str, ...]:
        """The name of the page with thumbnails, if there is one."""
        return () if self.bare or not self.layout.report.is_file() else (self.layout.report.name,)


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A new file and the path of the file that it replaces."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class TakedownResult:
    """What a takedown did, or would do. ``hash``: the dataset's hash before and after.

    ``nothing_on`` are lines of the list that match no sample, now or on record; ``cleared`` are the files besides the shards
    that lost bytes.
    """

    samples: int
    shards: tuple[str, ...]
    records: tuple[RevokedSample, ...]
    nothing_on: tuple[str, ...]
    cleared: tuple[str, ...]
    hash: tuple[str, str]


def find_home(out: Path) -> Home:
    """The output of a run, its folder of shards, or a bare folder of shards. Raises QvlError for a store."""
    if "://" in str(out) or ":/" in str(out):
        raise QvlError(
            f"{out}: a takedown needs the shards on a disk; download the output, revoke, and upload it again"
        )
    out = out.resolve()
    if (out / "shards" / "dataset.json").is_file():
        return Home(Layout(out), out / "shards", False)
    if out.name == "shards" and (out.parent / "manifests" / "pack").is_dir():
        return Home(Layout(out.parent), out, False)
    return Home(Layout(out), out, True)


def revoke(out: Path, wanted: TakedownList, date: str, dry: bool = False) -> TakedownResult:
    """Take down all samples on the list. With ``dry`` nothing is changed. Raises DataError if shards are missing."""
    home = find_home(out)
    open_dataset(str(home.folder))
    with output_lock(home.layout.out):
        finish_takedown(home.layout.out)
        dataset = open_dataset(str(home.folder))
        absent = absent_files(dataset)
        if absent:
            raise DataError("; ".join(absent[:20]))
        before, page = read_revoked(home.layout.revoked), home.page
        new = find_records(dataset, wanted, date)
        held = _held(home, dataset, [*before, *(record.id for rows in new.values() for record in rows.values())])
        new = with_cleared_files(home, new, held)
        if (new or held) and not dry:
            stage_takedown(home, dataset, new, held)
            finish_takedown(home.layout.out)
    records = [record for rows in new.values() for record in rows.values()]
    matched = {record.by for record in [*records, *before.values()]}
    lines = sorted(f"{kind}:{value}" for kind in KINDS for value in wanted.values[kind])
    return TakedownResult(
        samples=len(records),
        shards=tuple(sorted(new)),
        records=tuple(records),
        nothing_on=tuple(line for line in lines if line not in matched),
        cleared=(*(f"made/{unit}.tar" for unit in held), *(page if records or held else ())),
        hash=(dataset.hash, open_dataset(str(home.folder)).hash),
    )


def find_records(dataset: Dataset, wanted: TakedownList, date: str) -> Revocations:
    """Records of the samples on the list, by shard and row."""
    records: Revocations = {}
    if wanted.only_ids:
        for shard in dataset.shards:
            for row, key in enumerate(read_index(shard.index, ["key"])["key"].to_pylist()):
                line = wanted.line_of_id(key)
                if line is not None:
                    records.setdefault(shard.name, {})[row] = RevokedSample(
                        id=key, shard=shard.name, by=line, date=date
                    )
        return records
    for sample in scan_dataset(dataset):
        match = wanted.match(sample)
        if match is not None:
            record = RevokedSample(
                id=sample.key, shard=sample.shard.name, by=match.line, date=date, url=match.url, sha=match.sha
            )
            records.setdefault(sample.shard.name, {})[sample.row] = record
    return records


def with_cleared_files(home: Home, records: Revocations, held: HeldSamples) -> Revocations:
    """The records with the files besides the shards that each sample is cleared from."""
    return {
        shard: {row: replace(record, also=_cleared_files(home, held, record.id)) for row, record in rows.items()}
        for shard, rows in records.items()
    }


def _cleared_files(home: Home, held: HeldSamples, key: str) -> tuple[str, ...]:
    units = [unit for unit, samples in held.items() if any(sample.key == key for sample in samples)]
    return (*(f"made/{unit}.tar" for unit in units), *home.page)


def _held(home: Home, dataset: Dataset, ids: list[str]) -> HeldSamples:
    """The samples with these ids that the units of a build still hold."""
    is_build = not home.bare and "made" in dataset.manifest.lineage
    return samples_held(home.layout, dataset.manifest.units, ids) if is_build else {}


def stage_takedown(home: Home, dataset: Dataset, records: Revocations, held: HeldSamples) -> None:
    """Write what will replace the shards and units concerned, their manifests, ``dataset.json`` and the record."""
    layout, stage = home.layout, home.layout.takedown.parent
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    staged = [*_stage_shards(home, dataset, records, stage), *_stage_units(layout, held, stage)]
    revoked = read_revoked(layout.revoked)
    for key in {sample.key for samples in held.values() for sample in samples} & revoked.keys():
        revoked[key] = replace(revoked[key], also=_cleared_files(home, held, key))
    revoked |= {record.id: record for rows in records.values() for record in rows.values()}
    staged.append(_staged(stage / "revoked.jsonl", layout.revoked, encode_revoked(revoked.values())))
    for file in staged:
        sync(file.source)
    sync(stage)
    moves = [Move(file.source.name, str(file.target.relative_to(layout.out))) for file in staged]
    write_journal(layout.takedown, [*moves, *(Move(None, name) for name in home.page)])


def _stage_shards(home: Home, dataset: Dataset, records: Revocations, stage: Path) -> Iterator[StagedFile]:
    """Shards without these samples, their indexes and manifests, and ``dataset.json``."""
    before = dataset.manifest
    entries, counts = [], {kind: Counter(count) for kind, count in before.counts.items()}
    for shard, entry in zip(dataset.shards, before.shards, strict=True):
        rows = records.get(shard.name)
        if rows is None:
            entries.append(entry)
            continue
        _refuse_other_bytes(Path(shard.tar), entry.hash)
        cut = cut_shard(Path(shard.tar), stage / f"{shard.name}.tar", set(rows))
        for kind in COUNTED:
            counts[kind].subtract(cut.removed[kind])
        entries.append(_entry(shard.name, cut))
        yield StagedFile(cut.tar, home.folder / cut.tar.name)
        yield StagedFile(cut.index, home.folder / cut.index.name)
        if not home.bare:
            yield _stage_manifest(home.layout, stage, entries[-1], cut, len(rows))
    manifest = replace(
        before,
        samples=sum(entry.samples for entry in entries),
        bytes=sum(entry.bytes for entry in entries),
        hash=merkle_root(entry.hash for entry in entries),
        shards=tuple(entries),
        revoked=before.revoked + sum(map(len, records.values())),
        sources=_positive(counts["sources"]),
        languages=_positive(counts["languages"]),
        tasks=_positive(counts["tasks"]),
    )
    yield _staged(stage / "dataset.json", home.folder / "dataset.json", encode(manifest))


def _refuse_other_bytes(tar: Path, committed: str) -> None:
    """Raise DataError if a tar was damaged since it was committed: a takedown would give the damage a valid hash."""
    if file_hash(tar) != committed:
        raise DataError(f"{tar}: its bytes are not those that were committed; restore it, then take the samples down")


def _positive(counts: Counter[str]) -> dict[str, int]:
    """The counts above 0, sorted by name."""
    return dict(sorted((+counts).items()))


def _entry(name: str, cut: CutShard) -> ShardEntry:
    digests = {"hash": file_hash(cut.tar), "index_hash": file_hash(cut.index)}
    return ShardEntry(shard=name, samples=cut.samples, bytes=cut.bytes, image_bytes=cut.image_bytes, **digests)


def _stage_manifest(layout: Layout, stage: Path, entry: ShardEntry, cut: CutShard, removed: int) -> StagedFile:
    """The manifest of a cut shard."""
    path = layout.shard_manifest(entry.shard)
    before = committed_manifest(path, ShardManifest)
    manifest = ShardManifest(
        entry.shard, before.fingerprint, entry.samples, entry.bytes, entry.image_bytes, entry.hash, entry.index_hash,
        cut.kept["sources"], cut.kept["languages"], cut.kept["tasks"], before.revoked + removed,
    )  # fmt: skip
    return _staged(stage / path.name, path, encode(manifest))


def _stage_units(layout: Layout, held: HeldSamples, stage: Path) -> Iterator[StagedFile]:
    """Units without the bytes of these samples, and their manifests, which keep the hash of the tar as it was built."""
    for unit, samples in held.items():
        path = layout.unit_manifest(unit)
        before = committed_manifest(path, BuiltUnitManifest)
        _refuse_other_bytes(layout.made(unit), before.hash)
        tar = blank_samples(layout.made(unit), stage / f"made.{unit}.tar", samples)
        yield StagedFile(tar, layout.made(unit))
        manifest = replace(before, hash=file_hash(tar), made_hash=before.built_hash)
        yield _staged(stage / f"made.{unit}.json", path, encode(manifest))


def _staged(source: Path, target: Path, data: bytes) -> StagedFile:
    source.write_bytes(data)
    return StagedFile(source, target)
