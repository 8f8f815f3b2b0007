"""Lineage in both directions: where a sample came from and is stored; why a source row was dropped, and what replaced it."""

from dataclasses import asdict, dataclass

import pyarrow.compute as pc
from pydantic import JsonValue
from rich.table import Table

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.base.json_values import json_values
from qvl.pipeline.base.screen import Screen
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.columns import split_sample_id
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.finished.consistent import consistent
from qvl.pipeline.finished.stored_recipe import stored_filter_names
from qvl.pipeline.shards.manifests import DatasetManifest
from qvl.pipeline.shards.revoked import read_revoked
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath, map_concurrently

MAX_CHAIN = 10
SHOWN = 5
NEEDED = ("id", "verdict", "failed", "dup_of")
TAR_NUMBERS = ("offset", "size", "image_offsets", "image_sizes", "json_offset", "json_size")
OWN_FIELDS = ("id", "verdict", "failed", "row")  # columns of the ledger that a trace has as fields of its own


@dataclass(frozen=True, slots=True)
class ShardPosition:
    """Where a sample is: the tar below the output, and byte offsets and sizes in it."""

    tar: str
    offset: int
    size: int
    image_offsets: list[int]
    image_sizes: list[int]
    json_offset: int
    json_size: int

    def content(self) -> dict[str, JsonValue]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TakenDown:
    """When a sample was taken down, and the line of the list that asked for it."""

    date: str
    by: str

    def content(self) -> dict[str, JsonValue]:
        return {"taken down": f"{self.date}, by {self.by}"}


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything about one input row. ``failed`` names all filters that it fails, ``columns`` are those of the ledger.

    ``shard`` is None for a dropped row, and for a kept one before pack has run. ``lost_to`` is the trace of the row that
    won over a duplicate.
    """

    id: str
    file: str
    row: int
    verdict: str
    failed: list[str]
    columns: dict[str, JsonValue]
    shard: ShardPosition | TakenDown | None = None
    lost_to: "Trace | None" = None

    def content(self) -> dict[str, JsonValue]:
        """The trace for JSON: ``shard`` only for a kept row, ``lost_to`` only for a duplicate."""
        content: dict[str, JsonValue] = {
            "id": self.id,
            "file": self.file,
            "row": self.row,
            "verdict": self.verdict,
            "failed": [*self.failed],
            "columns": {**self.columns},
        }
        if self.verdict == KEEP:
            content["shard"] = self.shard.content() if self.shard else None
        if self.lost_to is not None:
            content["lost_to"] = self.lost_to.content()
        return content


def trace_sample(out: AnyPath, sample: str) -> Trace:
    """Trace a sample id. Raises DataError if the output has no such row."""
    try:
        unit, row = split_sample_id(sample)
    except ValueError:
        raise DataError(f"{sample}: not a sample id (SOURCE-HASH-ROW); for a source row use --row FILE ROW") from None
    with consistent(out):
        return _trace(_output_layout(out), unit, row, MAX_CHAIN)


def trace_row(out: AnyPath, file: str, row: int) -> Trace:
    """Trace a row of an input file, which is named as SOURCE/NAME, as NAME, or by a path that ends in its name.

    Raises DataError if the output has no such row, or several files of that name.
    """
    layout = _output_layout(out)
    paths: list[AnyPath] = sorted((layout.out / "manifests" / "scan").glob("*.json"), key=str)
    manifests = map_concurrently(layout.out, lambda path: read_manifest(path, ScanManifest), paths)
    units = {f"{unit.source}/{unit.name}": unit for unit in manifests if unit is not None}
    found = {name: unit for name, unit in units.items() if file in (unit.name, name) or file.endswith("/" + unit.name)}
    if not found:
        more = f" and {len(units) - SHOWN} more" if len(units) > SHOWN else ""
        raise DataError(
            f"{file}: no input file of this output has that name; there are {', '.join(list(units)[:SHOWN])}{more}"
        )
    if len(found) > 1:
        raise DataError(f"{file}: which of {', '.join(found)}?")
    (unit,) = found.values()
    with consistent(out):
        return _trace(layout, unit.unit, row, MAX_CHAIN)


def _output_layout(out: AnyPath) -> Layout[AnyPath]:
    """The layout of an output. Raises DataError where no run has written anything."""
    layout = Layout(out.resolve())
    if not layout.recipe.is_file():
        raise DataError(f"{out}: no output of `qvl curate run` is there")
    return layout


def _trace(layout: Layout[AnyPath], unit: str, row: int, depth: int) -> Trace:
    manifest = read_manifest(layout.unit_manifest(unit), ScanManifest)
    if manifest is None or not layout.ledger(unit).is_file():
        raise DataError(f"{unit}: the output knows no such input file, or select has not run yet")
    table = read_parquet(layout.ledger(unit), needed=NEEDED)
    if not 0 <= row < len(table):
        raise DataError(f"{manifest.name} has rows 0 to {len(table) - 1}, not {row}")
    found = table.slice(row, 1)
    values = {name: json_values(found[name])[0] for name in found.column_names}
    sample, verdict, failed, keeper = (found[name][0].as_py() for name in NEEDED)
    return Trace(
        id=sample,
        file=manifest.name,
        row=row,
        verdict=verdict,
        failed=[name for bit, name in enumerate(stored_filter_names(layout.out)) if failed >> bit & 1],
        columns={name: value for name, value in values.items() if name not in OWN_FIELDS},
        shard=_position(layout, sample) if verdict == KEEP else None,
        lost_to=_trace(layout, *split_sample_id(keeper), depth - 1) if keeper and depth else None,
    )


def _position(layout: Layout[AnyPath], sample: str) -> ShardPosition | TakenDown | None:
    """Where a kept row is, by its key in the shards' indexes, or when it was taken down. None before pack has run."""
    dataset = read_manifest(layout.dataset, DatasetManifest)
    if dataset is None:
        return None
    for shard in dataset.shards:
        index = read_parquet(layout.index(shard.shard), ["key", *TAR_NUMBERS], ["key", *TAR_NUMBERS])
        found = index.filter(pc.equal(index["key"], sample)).to_pylist()
        if found:
            return ShardPosition(f"shards/{shard.shard}.tar", **{name: found[0][name] for name in TAR_NUMBERS})
    record = read_revoked(layout.revoked).get(sample)
    if record is None:
        raise DataError(f"{sample} is kept but in no shard: run `qvl curate audit`")
    return TakenDown(record.date, record.by)


def print_trace(trace: Trace, title: str = "") -> None:
    """Print the trace as a table, followed by that of the row that it lost to."""
    console = Screen()
    table = Table(title=title or trace.id, title_justify="left", show_header=False)
    for name in ("id", "file", "row", "verdict"):
        table.add_row(name, str(getattr(trace, name)))
    table.add_row("fails", ", ".join(trace.failed) or "none")
    for name, value in (trace.shard.content() if trace.shard else {}).items():
        table.add_row(f"shard {name}", str(value))
    table.add_section()
    for name, value in trace.columns.items():
        if value is not None:
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    console.print(table)
    if trace.lost_to is not None:
        print_trace(trace.lost_to, f"{trace.id} lost to")
