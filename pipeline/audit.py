"""Audit: trust nothing, add everything up again, read the shards back."""

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipeline.commit import file_hash, read_manifest
from pipeline.errors import RecipeError
from pipeline.fingerprint import merkle_root
from pipeline.layout import Layout
from pipeline.ledger import count_verdicts, ledger_units
from pipeline.scan import read_parquet
from pipeline.tar_index import index_tar

KEEP = "keep"
AUDITED = ["id", "source", "verdict", "row", "image_hash"]


class DiscrepancyError(Exception):
    """The first thing that does not add up."""


def audit(out: Path) -> dict[str, Any]:
    """Counts, and ``discrepancy``: None, or one line with the first that was found."""
    layout = Layout(out.resolve())
    dataset = read_manifest(layout.dataset)
    if dataset is None:
        raise RecipeError(f"{out}: there is no finished run here (no shards/dataset.json); `qvl curate run` makes one")
    result = {"rows": 0, "kept": 0, "dropped": 0, "shards": len(dataset["shards"]), "hash": dataset["hash"]}
    try:
        if "made" in dataset["lineage"]:
            verdicts, kept = _audit_made(layout, dataset), None
        else:
            verdicts, kept = _audit_ledger(layout, dataset)
        result["rows"] = sum(verdicts.values())
        result["kept"] = verdicts[KEEP]
        result["dropped"] = result["rows"] - result["kept"]
        _audit_shards(layout, dataset, kept)
    except DiscrepancyError as error:
        return {**result, "discrepancy": str(error)}
    return {**result, "discrepancy": None}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise DiscrepancyError(message)


def _require_bytes(path: Path, digest: str) -> None:
    name = f"{path.parent.name}/{path.name}"
    _require(path.is_file(), f"{name} is missing")
    _require(file_hash(path) == digest, f"{name}: its bytes are not those that were committed")


def _audit_ledger(layout: Layout, dataset: dict[str, Any]) -> tuple[Counter[str], dict[str, bytes]]:
    """Verdict counts over all units, and the kept rows: key -> image hash."""
    total: Counter[str] = Counter()
    by_source: dict[str, Counter[str]] = {}
    kept: dict[str, bytes] = {}
    for unit, stated in ledger_units(layout.out).items():
        scanned = read_manifest(layout.unit_manifest(unit)) or {}
        _require(bool(scanned), f"{unit}: its scan manifest is missing")
        _require_bytes(layout.columns(unit), scanned["hash"])
        _require_bytes(layout.ledger(unit), stated["hash"])
        table, rows = read_parquet(layout.ledger(unit), AUDITED), scanned["rows"]
        _require(len(table) == rows, f"{unit}: {rows} rows were scanned, the ledger has {len(table)}")
        _require(table["row"].to_pylist() == list(range(rows)), f"{unit}: row numbers are not 0..{rows - 1}")
        counts = count_verdicts(table["verdict"])
        by_source.setdefault(scanned["source"], Counter()).update(counts)
        total.update(counts)
        good = table.filter(pc.equal(table["verdict"].cast("string"), KEEP))
        kept.update(zip(good["id"].to_pylist(), good["image_hash"].to_pylist(), strict=True))
    in_dataset = dataset["lineage"]["verdicts"]
    found = {source: dict(sorted(counts.items())) for source, counts in sorted(by_source.items())}
    _require(found == in_dataset, f"verdicts by source: the ledger says {found}, dataset.json says {in_dataset}")
    _require(sum(total.values()) == dataset["lineage"]["rows"], "rows in do not equal the verdicts")
    _require(len(kept) == total[KEEP], f"{total[KEEP]} rows are kept but only {len(kept)} different ids")
    return total, kept


def _audit_made(layout: Layout, dataset: dict[str, Any]) -> Counter[str]:
    """Verdict counts over the units of a build, from their ledgers; samples add up to those in the shards."""
    total: Counter[str] = Counter()
    by_source: dict[str, Counter[str]] = {}
    samples = 0
    for unit in dataset["lineage"]["units"]:
        made, path = read_manifest(layout.unit_manifest(unit)), layout.ledger(unit)
        _require(made is not None and path.is_file(), f"{unit}: its manifest or its ledger is missing")
        manifest = made or {}
        _require(
            file_hash(path) == manifest["ledger_hash"], f"ledger/{path.name}: its bytes are not those that were made"
        )
        table = pq.read_table(path, columns=["verdict", "samples"])
        counts = count_verdicts(table["verdict"])
        _require(
            counts == manifest["verdicts"], f"{unit}: the ledger says {counts}, the manifest {manifest['verdicts']}"
        )
        by_source.setdefault(manifest["source"], Counter()).update(counts)
        total.update(counts)
        samples += pc.sum(table["samples"]).as_py() or 0
    found = {source: dict(sorted(counts.items())) for source, counts in sorted(by_source.items())}
    _require(found == dataset["lineage"]["verdicts"], "verdicts by source: the ledgers and dataset.json disagree")
    _require(
        samples == dataset["samples"], f"the ledgers tell of {samples} samples, dataset.json of {dataset['samples']}"
    )
    return total


def _audit_shards(layout: Layout, dataset: dict[str, Any], kept: dict[str, bytes] | None) -> None:
    seen: set[str] = set()
    for shard in dataset["shards"]:
        path = layout.shard(shard["shard"])
        _require(path.is_file(), f"{path.name} is missing")
        _require(
            path.stat().st_size == shard["bytes"], f"{path.name}: {path.stat().st_size} bytes, not {shard['bytes']}"
        )
        data = path.read_bytes()
        _require(
            xxhash.xxh3_128_hexdigest(data) == shard["hash"], f"{path.name}: its bytes are not those that were packed"
        )
        index = layout.index(shard["shard"])
        _require(index.is_file() and file_hash(index) == shard["index_hash"], f"{index.name} is missing or was changed")
        _audit_members(path.name, data, pq.read_table(index).to_pylist(), kept, seen)
    _require(not kept, f"{len(kept or ())} kept rows are in no shard, the first is {next(iter(kept or ()), '')}")
    _require(len(seen) == dataset["samples"], f"{len(seen)} samples are in the shards, not {dataset['samples']}")
    _require(
        merkle_root(s["hash"] for s in dataset["shards"]) == dataset["hash"], "the dataset hash is not its shards'"
    )
    present = {path.stem for path in layout.dataset.parent.glob("*.tar")}
    stray = sorted(present - {shard["shard"] for shard in dataset["shards"]})
    _require(not stray, f"shards/{stray[0] if stray else ''}.tar belongs to no manifest")


def _audit_members(
    name: str, data: bytes, index: list[dict[str, Any]], kept: dict[str, bytes] | None, seen: set[str]
) -> None:
    """Members, index and ledger agree; image bytes are the source's. Takes the found keys out of ``kept``."""
    found = index_tar(memoryview(data))
    _require(found.fault is None, f"{name}: {found.fault}")
    members = sum(1 + len(row["image_offsets"]) for row in index)
    _require(len(found.members) == members, f"{name}: {len(found.members)} members, its index knows {members}")
    for row in index:
        key = row["key"]
        _require(key not in seen, f"{name}: {key} is twice in the shards")
        seen.add(key)
        if kept is not None:
            _require(key in kept, f"{name}: {key} was not kept")
            image = data[row["image_offsets"][0] : row["image_offsets"][0] + row["image_sizes"][0]]
            _require(xxhash.xxh3_128_digest(image) == kept.pop(key), f"{name}: the image of {key} is not the source's")
        content = orjson.loads(data[row["json_offset"] : row["json_offset"] + row["json_size"]])
        _require(content["id"] == key, f"{name}: the index points {key} to the JSON of {content['id']}")
