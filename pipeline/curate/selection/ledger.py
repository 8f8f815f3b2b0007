"""The ledger: one parquet row for each input row, kept or dropped, with every column and the verdict."""

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import read_manifest
from qvl.pipeline.curate.measuring.columns import CATEGORY, CATEGORY_COLUMNS, COLUMNS
from qvl.pipeline.curate.measuring.score_columns import SCORES
from qvl.pipeline.curate.measuring.texts import CAPTION_FROM
from qvl.pipeline.curate.selection.manifests import LedgerManifest, LedgerUnit, SelectSummary
from qvl.pipeline.storage.arrow_files import parquet_file, read_parquet
from qvl.pipeline.storage.paths import AnyPath

LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("source", CATEGORY),
        ("verdict", CATEGORY),  # keep, or the one reason
        ("failed", pa.uint32()),  # bit i is set where filter i of the recipe's filter_names fails
        ("dup_of", pa.string()),  # id of the row that was kept instead
        *COLUMNS,
        *SCORES,
    ]
)
"""What every ledger has; the added columns of a run follow."""
LEDGER_CATEGORIES = [*CATEGORY_COLUMNS, "source", "verdict", "score_state"]


def read_select_summary(out: AnyPath) -> SelectSummary | None:
    """The summary of stage select, or None where it has not finished."""
    return read_manifest(Layout(out).stage_manifest("select"), SelectSummary)


def ledger_units(out: AnyPath) -> dict[str, LedgerUnit]:
    """What the ledger's manifests say of each unit, by unit id, group by group.

    Raises ContractError where select has not finished.
    """
    summary = read_select_summary(out)
    if summary is None:
        raise ContractError(f"{out}: there is no ledger yet; `qvl curate run` makes it")
    units: dict[str, LedgerUnit] = {}
    for number in range(summary.groups):
        group = read_manifest(Layout(out).group_manifest("ledger", number), LedgerManifest)
        if group is None:
            raise ContractError(f"{out}: the manifest of ledger group {number} is missing; run the same command again")
        units |= group.units
    return units


def ledger_schema(out: AnyPath) -> pa.Schema:
    """The columns of a run's ledger, with those that were added to it."""
    unit = next(iter(ledger_units(out)), None)
    if unit is None:
        return LEDGER
    with parquet_file(Layout(out).ledger(unit)) as file:
        return file.schema_arrow


def read_ledger(out: AnyPath, columns: list[str] | None = None) -> Iterator[tuple[str, pa.Table]]:
    """Unit id and table, unit by unit, so that memory stays that of one unit."""
    for unit in ledger_units(out):
        yield unit, read_parquet(Layout(out).ledger(unit), columns)


def count_verdicts(column: pa.ChunkedArray) -> dict[str, int]:
    """Rows by verdict, sorted by verdict. Raises ContractError where a row has none."""
    counts = {str(pair["values"]): pair["counts"] for pair in pc.value_counts(column.cast(pa.string())).to_pylist()}
    if "None" in counts:
        raise ContractError(f"{counts['None']} rows have no verdict")
    return dict(sorted(counts.items()))


def chosen_texts(out: AnyPath) -> dict[str, dict[str, int]]:
    """Kept rows by source and ``caption_from``, the most frequent text first; empty where no row has several captions."""
    if read_select_summary(out) is None or CAPTION_FROM not in ledger_schema(out).names:
        return {}
    counts: dict[str, Counter[str]] = {}
    for _, table in read_ledger(out, ["source", "verdict", CAPTION_FROM]):
        chosen = table.filter(pc.equal(table["verdict"].cast(pa.string()), KEEP))
        chosen = chosen.filter(chosen[CAPTION_FROM].is_valid())
        plain = pa.table({name: chosen[name].cast(pa.string()) for name in ("source", CAPTION_FROM)})
        for row in plain.group_by(plain.column_names).aggregate([([], "count_all")]).to_pylist():
            counts.setdefault(row["source"], Counter())[row[CAPTION_FROM]] += row["count_all"]
    return {
        source: dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))) for source, found in counts.items()
    }
