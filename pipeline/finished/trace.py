"""Two-way lineage: a sample's source, columns and place in a shard; a source row's verdict and what won over it."""

from typing import Any

import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.columns import split_sample_id
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.filters import FILTER_NAMES
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath, map_concurrently

MAX_CHAIN = 10
SHOWN = 5


def trace_sample(out: AnyPath, sample: str) -> dict[str, Any]:
    """Everything about a sample id. Raises DataError where the output knows no such row."""
    try:
        unit, row = split_sample_id(sample)
    except ValueError:
        raise DataError(f"{sample}: not a sample id (SOURCE-HASH-ROW); for a source row use --row FILE ROW") from None
    return _trace(_known(out), unit, row, MAX_CHAIN)


def trace_row(out: AnyPath, file: str, row: int) -> dict[str, Any]:
    """Everything about a row of an input file, named as in the ledger's units or by the end of its path."""
    layout = _known(out)
    found, known = [], []
    paths: list[AnyPath] = sorted((layout.out / "manifests" / "scan").glob("*.json"), key=str)
    for manifest in filter(None, map_concurrently(layout.out, lambda path: read_manifest(path, ScanManifest), paths)):
        name = f"{manifest.source}/{manifest.name}"
        known.append(name)
        if file in (manifest.name, name) or file.endswith("/" + manifest.name):
            found.append(manifest)
    if not found:
        more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
        raise DataError(
            f"{file}: no input file of this output has that name; there are {', '.join(known[:SHOWN])}{more}"
        )
    if len(found) > 1:
        names = ", ".join(f"{manifest.source}/{manifest.name}" for manifest in found)
        raise DataError(f"{file}: which of {names}?")
    return _trace(layout, found[0].unit, row, MAX_CHAIN)


def _known(out: AnyPath) -> Layout[AnyPath]:
    """The output's layout. Raises DataError where no run has written anything."""
    layout = Layout(out.resolve())
    if not layout.recipe.is_file():
        raise DataError(f"{out}: no output of `qvl curate run` is there")
    return layout


def _trace(layout: Layout[AnyPath], unit: str, row: int, depth: int) -> dict[str, Any]:
    manifest = read_manifest(layout.unit_manifest(unit), ScanManifest)
    if manifest is None or not layout.ledger(unit).is_file():
        raise DataError(f"{unit}: the output knows no such input file, or select has not run yet")
    table = read_parquet(layout.ledger(unit))
    if not 0 <= row < len(table):
        raise DataError(f"{manifest.name} has rows 0 to {len(table) - 1}, not {row}")
    record = {name: _plain(value) for name, value in table.slice(row, 1).to_pylist()[0].items()}
    failed = record.pop("failed")
    result: dict[str, Any] = {
        "id": record.pop("id"),
        "file": manifest.name,
        "row": record.pop("row"),
        "verdict": record.pop("verdict"),
        "failed": [word for bit, word in enumerate(FILTER_NAMES) if failed >> bit & 1],
        "columns": record,
    }
    if result["verdict"] == KEEP:
        result["shard"] = _shard(layout, table, unit, row)
    if record["dup_of"] and depth:
        result["lost_to"] = _trace(layout, *split_sample_id(record["dup_of"]), depth - 1)
    return result


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _shard(layout: Layout[AnyPath], table: Any, unit: str, row: int) -> dict[str, Any] | None:
    """Shard and byte offsets of a kept row, by its key in the shards' indexes, or when and why it was taken down.

    None before pack has run.
    """
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None:
        return None
    key = table["id"][row].as_py()
    for shard in dataset.shards:
        index = read_parquet(layout.index(shard.shard))
        found = index.filter(pc.equal(index["key"], key)).to_pylist()
        if found:
            fields = ("offset", "size", "image_offsets", "image_sizes", "json_offset", "json_size")
            return {"tar": f"shards/{shard.shard}.tar", **{name: found[0][name] for name in fields}}
    record = read_revoked(layout.revoked).get(key)
    if record is None:
        raise DataError(f"{key} is kept but in no shard: run `qvl curate audit`")
    return {"taken down": f"{record.date}, by {record.by}"}


def print_trace(content: dict[str, Any], title: str = "") -> None:
    """The trace as tables; what a row lost to follows below it."""
    console = Console(markup=False, emoji=False)  # names and captions are the data's
    table = Table(title=title or content["id"], title_justify="left", show_header=False)
    for name in ("id", "file", "row", "verdict"):
        table.add_row(name, str(content[name]))
    table.add_row("fails", ", ".join(content["failed"]) or "none")
    for name, value in content.get("shard", {}).items() if content.get("shard") else ():
        table.add_row(f"shard {name}", str(value))
    table.add_section()
    for name, value in content["columns"].items():
        if value is not None:
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    console.print(table, markup=False)
    if "lost_to" in content:
        print_trace(content["lost_to"], f"{content['id']} lost to")
