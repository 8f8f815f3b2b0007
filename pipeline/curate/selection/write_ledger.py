"""The last step of select: ``write_ledger`` turns the verdict codes of a group into its ledger, a file for each unit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed
from qvl.pipeline.curate.measuring.columns import CATEGORY, COLUMNS, ROW_GROUP
from qvl.pipeline.curate.measuring.score_columns import SCORES
from qvl.pipeline.curate.selection.judge import FAULT_BIT
from qvl.pipeline.curate.selection.language_losses import LanguageVerdicts, count_by_language
from qvl.pipeline.curate.selection.ledger import LEDGER, LEDGER_CATEGORIES, count_verdicts
from qvl.pipeline.curate.selection.manifests import LedgerManifest, LedgerUnit
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.verdict_codes import codes_after_balance, losers_in_group, verdict_names
from qvl.pipeline.duplicates.rules import LOSER
from qvl.pipeline.storage.arrow_files import load_array

FAULT_COLUMNS = ("fault", "score_state")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdict codes, failed bits and the ids of keepers, for consecutive rows."""

    codes: np.ndarray
    failed: np.ndarray
    dup_of: pa.Array

    def part(self, first: int, last: int) -> "Verdicts":
        return Verdicts(self.codes[first:last], self.failed[first:last], self.dup_of[first:last])


def written_ledger(task: SelectTask) -> LedgerManifest | None:
    """The manifest of a group's ledger if it is written already, or None."""
    layout = Layout(task.out)
    files = [layout.ledger(unit) for unit in task.group.units]
    return read_committed(layout.group_manifest("ledger", task.number), task.fingerprint, files, LedgerManifest)


def write_ledger(task: SelectTask) -> LedgerManifest:
    """Commit the ledger of one group. Raises ContractError unless every row has one verdict."""
    committed = written_ledger(task)
    if committed is not None:
        return committed
    group, units, judged = task.group, {}, []
    verdicts = Verdicts(
        codes_after_balance(task, task.number, len(task.recipe.balance)),
        load_array(Layout(task.out).work("judged", task.number)) & ~FAULT_BIT,
        keeper_ids(task),
    )
    with attempt(task.out) as folder:
        for i, (unit, source) in enumerate(zip(group.units, group.sources, strict=True)):
            table = _unit_table(task, unit, source, verdicts.part(int(group.starts[i]), int(group.starts[i + 1])))
            if len(table) != group.rows[i]:
                raise ContractError(f"{unit}: {group.rows[i]} rows were scanned, {len(table)} have a verdict")
            digest = _publish(task, unit, table, folder)
            judged.append(table.select(["language", "verdict"]))
            units[unit] = LedgerUnit(source, digest, count_verdicts(table["verdict"]))
    manifest = LedgerManifest(task.fingerprint, units, _languages(task, judged))
    return create_manifest(Layout(task.out).group_manifest("ledger", task.number), manifest)


def _languages(task: SelectTask, judged: list[pa.Table]) -> LanguageVerdicts | None:
    """The counts of a group, which only recipes with several languages need."""
    if len(task.recipe.languages()) < 2 or not judged:
        return None
    table = pa.concat_tables(judged)
    return count_by_language(table["language"], table["verdict"])


def _publish(task: SelectTask, unit: str, table: pa.Table, folder: Path) -> str:
    """Write the ledger of a unit. Returns the hash of its file."""
    written, categories = folder / f"{unit}.parquet", [*LEDGER_CATEGORIES, *task.added.chosen.names]
    pq.write_table(table, written, compression="lz4", use_dictionary=categories, row_group_size=ROW_GROUP)
    digest = file_hash(written)
    publish(written, Layout(task.out).ledger(unit), digest)
    return digest


def _unit_table(task: SelectTask, unit: str, source: str, verdicts: Verdicts) -> pa.Table:
    added = task.added.schema
    names = [*COLUMNS.names, *SCORES.names, *added.names]
    columns = task.read(unit, source, names)
    benchmarks = tuple(benchmark.name for benchmark in task.recipe.decontaminate)
    names_of_codes = verdict_names(task.rules, benchmarks, task.recipe.filter_names, task.recipe.balance)
    by_code = pa.array(names_of_codes, pa.string()).take(pa.array(verdicts.codes))
    verdict = pc.coalesce(by_code, *(columns[name].combine_chunks().cast(pa.string()) for name in FAULT_COLUMNS))
    judged = {
        "id": sample_ids(pa.scalar(unit), columns["row"]),
        "source": pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(columns), np.int16)), pa.array([source])),
        "verdict": verdict.dictionary_encode().cast(CATEGORY),
        "failed": pa.array(verdicts.failed),
        "dup_of": verdicts.dup_of,
    }
    return pa.Table.from_arrays([*judged.values(), *columns.columns], schema=pa.schema([*LEDGER, *added]))


def sample_ids(unit: pa.Scalar | pa.Array, rows: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The sample ids of whole columns; the same texts as ``columns.sample_id``."""
    return pc.binary_join_element_wise(unit, pc.utf8_lpad(rows.cast(pa.string()), 7, "0"), "-")


def keeper_ids(task: SelectTask) -> pa.Array:
    """For each position in the group the sample id of the row that it lost to; null for rows that lost to none.

    Example: of three rows, position 1 lost. ``losers`` has one record, ``loser_at`` is [-1, 0, -1], and the ids of all
    losers are taken at these indices, with null where the index is -1.
    """
    found = [losers_in_group(task, task.number, rule) for rule in range(len(task.rules))]
    losers = np.concatenate([np.empty(0, LOSER), *found])
    total = sum(task.group.rows)
    if not len(losers):
        return pa.nulls(total, pa.string())
    loser_at = np.full(total, -1, np.int64)
    loser_at[losers["row"]] = np.arange(len(losers))
    units, rows = np.empty(len(losers), object), np.zeros(len(losers), np.int64)
    for number in np.unique(losers["keeper_group"]):
        group = task.groups[number]
        in_group = losers["keeper_group"] == number
        unit = np.searchsorted(group.starts, losers["keeper_row"][in_group], side="right") - 1
        units[in_group] = np.array(group.units, object)[unit]
        rows[in_group] = losers["keeper_row"][in_group] - group.starts[unit]
    ids = sample_ids(pa.array(units, pa.string()), pa.array(rows))
    return ids.take(pa.array(np.maximum(loser_at, 0), mask=loser_at < 0))
