"""Takedown: samples leave the shards that hold them; all other shards keep their bytes.

New files are written beside the output first; a journal, created in one step, then lists what replaces what. Killed before
the journal, nothing has changed; killed after it, the next call goes on with it. The record comes with the same journal, so
a sample is out of the shards if and only if it is on record. What else the output holds of a sample goes with it: the bytes
in a build's made units, and the page with thumbnails.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.commit.fingerprint import file_hash, merkle_root
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.lock import output_lock
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.commit.records import encode
from qvl.pipeline.shards.built_unit import BuiltUnitManifest
from qvl.pipeline.shards.cut import cut_shard
from qvl.pipeline.shards.dataset import COUNTED, SHARD_FIELDS
from qvl.pipeline.shards.reader import Dataset, absent_files, open_dataset, read_index
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.shards.scan import scan_dataset
from qvl.pipeline.storage.atomic import replace_file, sync
from qvl.pipeline.takedown.journal import finish_takedown
from qvl.pipeline.takedown.made_copies import Rows, blank_copy, held_copies
from qvl.pipeline.takedown.requests import KINDS, TakedownList

PRETTY = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE

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
        finish_takedown(home.layout.out)
        dataset = open_dataset(str(home.folder))
        absent = absent_files(dataset)
        if absent:
            raise DataError("; ".join(absent[:20]))
        records = find_records(dataset, wanted, date)
        before, page = read_revoked(home.layout.revoked), _page(home)
        found = [record for rows in records.values() for record in rows.values()]
        copies = _held(home, dataset, [*before, *(record["id"] for record in found)])
        for record in found:
            record["also"] = _also(home, copies, record["id"])
        if (found or copies) and not dry:
            stage_takedown(home, dataset, records, copies)
            finish_takedown(home.layout.out)
    named = {record["by"] for record in [*found, *before.values()]}
    lines = sorted(f"{kind}:{value}" for kind in KINDS for value in wanted.values[kind])
    return {
        "samples": len(found),
        "shards": sorted(records),
        "records": found,
        "nothing_on": [line for line in lines if line not in named],
        "cleared": [*(f"made/{unit}.tar" for unit in copies), *(page if found or copies else ())],
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


def _held(home: Home, dataset: Dataset, ids: list[str]) -> dict[str, Rows]:
    """Index rows of these samples that made units still hold, by unit."""
    lineage = {} if home.bare else dataset.content.get("lineage", {})
    return held_copies(home.layout, lineage["units"], ids) if "made" in lineage else {}


def _page(home: Home) -> list[str]:
    """The page with thumbnails, where there is one."""
    return [] if home.bare or not home.layout.report.is_file() else [home.layout.report.name]


def _also(home: Home, copies: dict[str, Rows], sample: str) -> list[str]:
    """Files beside the shards that a sample is cleared from."""
    units = [unit for unit, rows in copies.items() if any(row["key"] == sample for row in rows)]
    return [*(f"made/{unit}.tar" for unit in units), *_page(home)]


def stage_takedown(home: Home, dataset: Dataset, records: Records, copies: dict[str, Rows]) -> None:
    """Write what will replace the shards and made units concerned, their manifests, ``dataset.json`` and the record."""
    layout, stage = home.layout, home.layout.takedown.parent
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    moves = [*_cut(home, dataset, records, stage), *_blanked(layout, copies, stage)]
    every = read_revoked(layout.revoked)
    for key in {row["key"] for rows in copies.values() for row in rows} & every.keys():
        every[key] |= {"also": _also(home, copies, key)}
    every |= {record["id"]: record for rows in records.values() for record in rows.values()}
    lines = b"".join(orjson.dumps(record) + b"\n" for record in every.values())
    moves.append(_staged(stage / "revoked.jsonl", layout.revoked, lines))
    for source, _ in moves:
        sync(source)
    sync(stage)
    journal = [[source.name, str(target.relative_to(layout.out))] for source, target in moves]
    replace_file(layout.takedown, orjson.dumps(journal + [[None, name] for name in _page(home)]))
    sync(stage)


def _cut(home: Home, dataset: Dataset, records: Records, stage: Path) -> Iterator[tuple[Path, Path]]:
    """Shards without these samples, their indexes and manifests, and ``dataset.json``."""
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
        yield cut.tar, home.folder / cut.tar.name
        yield cut.index, home.folder / cut.index.name
        if not home.bare:
            yield _manifest(home.layout, stage, facts, cut.kept, len(rows))
    content = dataset.content | {
        "samples": sum(entry["samples"] for entry in entries),
        "bytes": sum(entry["bytes"] for entry in entries),
        **{kind: dict(sorted((+count).items())) for kind, count in counts.items()},
        "hash": merkle_root(entry["hash"] for entry in entries),
        "shards": entries,
        "revoked": dataset.content.get("revoked", 0) + sum(map(len, records.values())),
    }
    yield _staged(stage / "dataset.json", home.folder / "dataset.json", orjson.dumps(content, option=PRETTY))


def _blanked(layout: Layout, copies: dict[str, Rows], stage: Path) -> Iterator[tuple[Path, Path]]:
    """Made units without the bytes of these samples, and their manifests, which keep the hash of what was made."""
    for unit, rows in copies.items():
        blank = blank_copy(layout.made(unit), stage / f"made.{unit}.tar", rows)
        yield blank, layout.made(unit)
        before = committed_manifest(layout.unit_manifest(unit), BuiltUnitManifest)
        manifest = replace(before, hash=file_hash(blank), made_hash=before.built_hash)
        yield _staged(stage / f"made.{unit}.json", layout.unit_manifest(unit), encode(manifest))


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
