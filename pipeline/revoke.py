"""Takedown: samples leave the shards that hold them; all other shards keep their bytes.

New files are written beside the output first; a journal, created in one step, then lists what replaces what. Killed before
the journal, nothing has changed; killed after it, the next call goes on with it. The record comes with the same journal, so
a sample is out of the shards if and only if it is on record.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from pipeline.commit import file_hash, output_lock, replace_file, sync
from pipeline.dataset import COUNTED, SHARD_FIELDS
from pipeline.dataset_reader import Dataset, absent_files, open_dataset, read_index
from pipeline.dataset_scan import scan_dataset
from pipeline.errors import DataError, QvlError
from pipeline.fingerprint import merkle_root
from pipeline.layout import Layout
from pipeline.revoked import read_revoked
from pipeline.shard_cut import cut_shard
from pipeline.takedown_list import KINDS, TakedownList

PRETTY = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
COPIES = ("made", "report.html")

Records = dict[str, dict[int, dict[str, Any]]]


@dataclass(frozen=True)
class Home:
    """Where a dataset lies. ``layout`` is that of the output, or of the bare folder of shards (``bare``)."""

    layout: Layout
    folder: Path
    bare: bool


def find_home(out: Path) -> Home:
    """The output of a run, its folder of shards, or a bare folder of shards. Raises QvlError for a store."""
    if "://" in str(out) or ":/" in str(out):
        raise QvlError(f"{out}: a takedown needs the shards on a disk; fetch the output, revoke there, put it back")
    out = out.resolve()
    if (out / "shards" / "dataset.json").is_file():
        return Home(Layout(out), out / "shards", False)
    if out.name == "shards" and (out.parent / "manifests" / "pack").is_dir():
        return Home(Layout(out.parent), out, False)
    return Home(Layout(out), out, True)


def revoke(out: Path, wanted: TakedownList, date: str, dry: bool = False) -> dict[str, Any]:
    """Take down all samples on the list. ``dry`` only says which. Returns counts, records, and lines that nothing was on."""
    home = find_home(out)
    open_dataset(str(home.folder))
    with output_lock(home.layout.out):
        finish_takedown(home)
        dataset = open_dataset(str(home.folder))
        absent = absent_files(dataset)
        if absent:
            raise DataError("; ".join(absent[:20]))
        records = find_records(dataset, wanted, date)
        found = [record for rows in records.values() for record in rows.values()]
        if found and not dry:
            stage_takedown(home, dataset, records)
            finish_takedown(home)
        before = read_revoked(home.layout.revoked)
    named = {record["by"] for record in [*found, *before.values()]}
    lines = sorted(f"{kind}:{value}" for kind in KINDS for value in wanted.values[kind])
    copies = [] if home.bare else [name for name in COPIES if (home.layout.out / name).exists()]
    return {
        "samples": len(found),
        "shards": sorted(records),
        "records": found,
        "nothing_on": [line for line in lines if line not in named],
        "copies": copies if found else [],
        "hash": [dataset.hash, open_dataset(str(home.folder)).hash],
    }


def find_records(dataset: Dataset, wanted: TakedownList, date: str) -> Records:
    """Records of the samples on the list, by shard and row."""
    records: Records = {}
    if wanted.only_ids:
        for shard in dataset.shards:
            for row, key in enumerate(read_index(shard.index, ["key"])["key"].to_pylist()):
                line = wanted.of_key(key)
                if line is not None:
                    records.setdefault(shard.name, {})[row] = _record(key, shard.name, {}, line, date)
        return records
    for sample in scan_dataset(dataset):
        match = wanted.matches(sample)
        if match is not None:
            record = _record(sample.key, sample.shard.name, match[1], match[0], date)
            records.setdefault(sample.shard.name, {})[sample.row] = record
    return records


def _record(key: str, shard: str, origin: dict[str, Any], line: str, date: str) -> dict[str, Any]:
    where = {name: origin[name] for name in ("url", "sha") if origin.get(name)}
    return {"id": key, "shard": shard, "by": line, "date": date, **where}


def stage_takedown(home: Home, dataset: Dataset, records: Records) -> None:
    """Write what will replace the shards concerned, their indexes and manifests, ``dataset.json`` and the record."""
    layout, stage = home.layout, home.layout.takedown.parent
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    moves: list[tuple[Path, Path]] = []
    entries, counts = [], {kind: Counter(dataset.content[kind]) for kind in COUNTED}
    for shard, stated in zip(dataset.shards, dataset.content["shards"], strict=True):
        rows = records.get(shard.name)
        if rows is None:
            entries.append(stated)
            continue
        cut = cut_shard(Path(shard.tar), stage / f"{shard.name}.tar", set(rows))
        for kind, count in counts.items():
            count.subtract(cut.removed[kind])
        facts = {"shard": shard.name, "samples": cut.samples, "image_bytes": cut.image_bytes, "bytes": cut.bytes}
        facts |= {"hash": file_hash(cut.tar), "index_hash": file_hash(cut.index)}
        entries.append({field: facts[field] for field in SHARD_FIELDS if field in stated})
        moves += [(cut.tar, home.folder / cut.tar.name), (cut.index, home.folder / cut.index.name)]
        if not home.bare:
            moves.append(_manifest(layout, stage, facts, cut.kept, len(rows)))
    content = dataset.content | {
        "samples": sum(entry["samples"] for entry in entries),
        "bytes": sum(entry["bytes"] for entry in entries),
        **{kind: dict(sorted((+count).items())) for kind, count in counts.items()},
        "hash": merkle_root(entry["hash"] for entry in entries),
        "shards": entries,
        "revoked": dataset.content.get("revoked", 0) + sum(map(len, records.values())),
    }
    moves.append(_staged(stage / "dataset.json", home.folder / "dataset.json", orjson.dumps(content, option=PRETTY)))
    every = [*read_revoked(layout.revoked).values(), *(r for rows in records.values() for r in rows.values())]
    lines = b"".join(orjson.dumps(record) + b"\n" for record in every)
    moves.append(_staged(stage / "revoked.jsonl", layout.revoked, lines))
    for source, _ in moves:
        sync(source)
    sync(stage)
    journal = [[source.name, str(target.relative_to(layout.out))] for source, target in moves]
    replace_file(layout.takedown, orjson.dumps(journal))
    sync(stage)


def _manifest(
    layout: Layout, stage: Path, facts: dict[str, Any], kept: dict[str, dict[str, int]], gone: int
) -> tuple[Path, Path]:
    path = layout.shard_manifest(facts["shard"])
    before = orjson.loads(path.read_bytes())
    content = before | facts | kept | {"revoked": before.get("revoked", 0) + gone}
    return _staged(stage / path.name, path, orjson.dumps(content, option=PRETTY))


def _staged(source: Path, target: Path, data: bytes) -> tuple[Path, Path]:
    source.write_bytes(data)
    return source, target


def finish_takedown(home: Home) -> None:
    """Put the files of a journal in their places, those that are not there yet; without a journal, clear up."""
    journal = home.layout.takedown
    if journal.is_file():
        for name, target in orjson.loads(journal.read_bytes()):
            final = home.layout.out / target
            if (journal.parent / name).is_file():
                (journal.parent / name).replace(final)
                sync(final.parent)
        journal.unlink()
    shutil.rmtree(journal.parent, ignore_errors=True)
