"""The ledger: one parquet row per input row, kept or dropped, with every column and the verdict."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed, read_manifest
from qvl.pipeline.curate.measuring.columns import COLUMNS, WORD_COLUMNS, WORDS
from qvl.pipeline.curate.measuring.scan import ROW_GROUP
from qvl.pipeline.curate.measuring.score import SCORES, read_measured
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.select import (
    BENCHMARK,
    FAULT_BIT,
    FIRST_DUPLICATE_RULE,
    KEEP_CODE,
    SelectTask,
    codes_after,
    lost_rows,
)
from qvl.pipeline.duplicates.rules import LOSER, DuplicateRule
from qvl.pipeline.filters import FILTER_WORDS
from qvl.pipeline.storage.arrow_files import load_array, read_parquet
from qvl.pipeline.storage.paths import Place

LEDGER = pa.schema(
    [
        ("id", pa.string()),
        ("source", WORDS),
        ("verdict", WORDS),  # keep, or the one reason
        ("failed", pa.uint32()),  # bit i: filter i of FILTER_WORDS fails
        ("dup_of", pa.string()),  # id of the row that was kept instead
        *COLUMNS,
        *SCORES,
    ]
)
LEDGER_WORDS = [*WORD_COLUMNS, "source", "verdict", "score_state"]
FAULT_COLUMNS = ("fault", "score_state")


def ledger_of(task: SelectTask) -> dict[str, Any] | None:
    """The manifest of a group's ledger where it is written already, or None."""
    layout = Layout(task.out)
    files = [layout.ledger(unit) for unit in task.group.units]
    return read_committed(layout.group_manifest("ledger", task.number), task.fingerprint, files)


def write_ledger(task: SelectTask) -> dict[str, Any]:
    """The ledger of one group, a file per unit, and its sums by unit. Asserts that every row has one verdict."""
    path = Layout(task.out).group_manifest("ledger", task.number)
    group, units = task.group, {}
    committed = ledger_of(task)
    if committed is not None:
        return committed
    codes = codes_after(task, task.number, len(task.rules))
    failed = load_array(Layout(task.out).work("judged", task.number)) & ~FAULT_BIT
    dup_of = _keepers(task)
    with attempt(task.out) as folder:
        for i, (unit, source) in enumerate(zip(group.units, group.sources, strict=True)):
            span = slice(int(group.starts[i]), int(group.starts[i + 1]))
            table = _table(task, unit, source, codes[span], failed[span], dup_of[span])
            if len(table) != group.rows[i]:
                raise ContractError(f"{unit}: {group.rows[i]} rows were scanned, {len(table)} have a verdict")
            written = folder / f"{unit}.parquet"
            pq.write_table(table, written, compression="lz4", use_dictionary=LEDGER_WORDS, row_group_size=ROW_GROUP)
            digest = file_hash(written)
            publish(written, Layout(task.out).ledger(unit), digest)
            units[unit] = {"source": source, "hash": digest, "verdicts": count_verdicts(table["verdict"])}
    return create_manifest(path, {"fingerprint": task.fingerprint, "units": units})


def count_verdicts(column: pa.ChunkedArray) -> dict[str, int]:
    """Rows by verdict, sorted by word. Raises ContractError where a row has none."""
    counts = {str(pair["values"]): pair["counts"] for pair in pc.value_counts(column.cast(pa.string())).to_pylist()}
    if "None" in counts:
        raise ContractError(f"{counts['None']} rows have no verdict")
    return dict(sorted(counts.items()))


def _table(
    task: SelectTask, unit: str, source: str, codes: np.ndarray, failed: np.ndarray, dup_of: pa.Array
) -> pa.Table:
    columns = read_measured(task.out, unit, [*COLUMNS.names, *SCORES.names], task.recipe.score)
    benchmarks = tuple(benchmark.name for benchmark in task.recipe.decontaminate)
    by_code = pa.array(verdict_words(task.rules, benchmarks), pa.string()).take(pa.array(codes))
    verdict = pc.coalesce(by_code, *(columns[name].combine_chunks().cast(pa.string()) for name in FAULT_COLUMNS))
    added = {
        "id": sample_ids(pa.scalar(unit), columns["row"]),
        "source": pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(columns), np.int16)), pa.array([source])),
        "verdict": verdict.dictionary_encode().cast(WORDS),
        "failed": pa.array(failed),
        "dup_of": dup_of,
    }
    return pa.Table.from_arrays([*added.values(), *columns.columns], schema=LEDGER)


def sample_ids(unit: Any, rows: Any) -> Any:
    """Sample ids of whole columns; the same text as ``rows.sample_id``."""
    return pc.binary_join_element_wise(unit, pc.utf8_lpad(rows.cast(pa.string()), 7, "0"), "-")


def _keepers(task: SelectTask) -> pa.Array:
    """Sample id of the row that each loser lost to, by position in the group; null elsewhere."""
    lost = np.concatenate([np.empty(0, LOSER), *(lost_rows(task, task.number, i) for i in range(len(task.rules)))])
    total = sum(task.group.rows)
    taken = np.full(total, -1, np.int64)
    taken[lost["row"]] = np.arange(len(lost))
    units, rows = np.empty(len(lost), object), np.zeros(len(lost), np.int64)
    for number in np.unique(lost["keeper_group"]):
        group: Group = task.groups[number]
        here = lost["keeper_group"] == number
        unit = np.searchsorted(group.starts, lost["keeper_row"][here], side="right") - 1
        units[here] = np.array(group.units, object)[unit]
        rows[here] = lost["keeper_row"][here] - group.starts[unit]
    ids = sample_ids(pa.array(units, pa.string()), pa.array(rows))
    return ids.take(pa.array(np.maximum(taken, 0), mask=taken < 0)) if len(lost) else pa.nulls(total, pa.string())


def verdict_words(rules: tuple[DuplicateRule, ...], benchmarks: tuple[str, ...] = ()) -> list[str | None]:
    """Reason by verdict code; None where the fault column has the word."""
    words: list[str | None] = [None] * 256
    words[KEEP_CODE] = KEEP
    words[1 : 1 + len(FILTER_WORDS)] = FILTER_WORDS
    words[BENCHMARK : BENCHMARK + len(benchmarks)] = [f"benchmark:{name}" for name in benchmarks]
    for i, rule in enumerate(rules):
        words[FIRST_DUPLICATE_RULE + i] = rule.reason
    return words


def ledger_units(out: Place) -> dict[str, dict[str, Any]]:
    """Unit -> its source, ledger hash and verdict counts, in select's order. Raises ContractError before select is done."""
    layout = Layout(out)
    manifest = read_manifest(layout.stage_manifest("select"))
    if manifest is None:
        raise ContractError(f"{out}: there is no ledger yet; `qvl curate run` makes it")
    units: dict[str, dict[str, Any]] = {}
    for number in range(manifest["groups"]):
        group = read_manifest(layout.group_manifest("ledger", number))
        if group is None:
            raise ContractError(f"{out}: the manifest of ledger group {number} is gone; run again")
        units |= group["units"]
    return units


def read_ledger(out: Place, columns: list[str] | None = None) -> Iterator[tuple[str, pa.Table]]:
    """Unit and table, unit by unit in select's order, so that memory stays that of one unit."""
    for unit in ledger_units(out):
        yield unit, read_parquet(Layout(out).ledger(unit), columns)
