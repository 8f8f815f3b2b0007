"""The filters of a changed recipe over the stored columns of one unit; the duplicate rules are run afterwards."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.score_columns import SCORED
from qvl.pipeline.curate.selection.judge import first_failed, has_no_answer, scored_bits, spoken_bits
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.finished.verdict_index import UNSCORED, VerdictIndex
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.speakers import NOT_ASKED
from qvl.pipeline.storage.paths import AnyPath


@dataclass(frozen=True, slots=True)
class UnitVerdicts:
    """Codes of a unit's rows before, and after the changed filters.

    ``missing`` counts rows that a changed filter drops because they have no value, ``uncompared`` rows let in that were
    never compared with the benchmarks.
    """

    before: np.ndarray
    after: np.ndarray
    missing: int
    uncompared: int


def changed_filters(old: Recipe, new: Recipe, source: str) -> list[tuple[int, str, Filter]]:
    """Bit, name and settings of the active filters of a source that differ from the old recipe's.

    Those that judge a text are among them where a row has several: the row may get another text.
    """
    before = {name: chosen for _, name, chosen in old.filters_of(source).active()}
    choice = TextChoice.of(new, source)
    of_texts = choice.columns if choice is not None else frozenset()
    return [
        entry
        for entry in new.filters_of(source).active()
        if before.get(entry[1]) != entry[2] or of_texts & set(entry[2].judged_columns)
    ]


def with_chosen_texts(table: pa.Table, out: AnyPath, unit: str, choice: TextChoice | None) -> pa.Table:
    """A unit's ledger with the columns of the texts that ``choice`` chooses; as it is where a row has one caption."""
    names = [] if choice is None else [name for name in table.column_names if name in choice.columns]
    if choice is None or not names:
        return table
    unscored = None
    if choice.has_scores:
        unscored = flags(pc.not_equal(table["score_state"].cast(pa.string()), SCORED))
    chosen = choice.read(out, unit, names, unscored)
    for name in names:
        field = chosen.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, chosen[name])
    return table


def judge_again(table: pa.Table, source: str, old: Recipe, new: Recipe, verdicts: VerdictIndex) -> UnitVerdicts:
    """The verdicts of a unit; ``table`` has its verdict, failed bits, score state and the columns of changed filters."""
    stored = table["verdict"].combine_chunks()
    before = verdicts.codes(stored)
    failed, missing = failed_bits(table, source, old, new)
    fault = _where(stored, lambda verdict: ":" in verdict and not verdict.startswith(("benchmark:", "balanced:")))
    fault &= np.asarray(table["failed"].to_numpy()) == 0
    after = first_failed(failed).astype(np.uint16)
    if new.score is not None:
        passes_cheap = failed & ~scored_bits(new.filters_of(source), new.score) == 0
        states = table["score_state"].combine_chunks()
        undecodable = _where(states, lambda state: state.startswith(BAD))
        fault &= ~undecodable
        faulty = undecodable & passes_cheap
        after[faulty] = _fault_codes(states, verdicts)[faulty]
        if _needs_scores(new, source):
            never_scored = _where(states, lambda state: state.startswith("not_scored:"))
            after[never_scored & passes_cheap] = verdicts.code(UNSCORED)
    unseen, unasked = _unspoken(table, source, new, failed)
    fault &= ~unseen
    unseen &= failed == 0
    after[unseen] = before[unseen]
    after[unasked & ~fault & (after == 0)] = verdicts.code(UNSCORED)
    after[fault] = before[fault]
    contaminated = _where(stored, lambda verdict: verdict.startswith("benchmark:")) & (after == 0)
    after[contaminated] = before[contaminated]
    by_filters = [verdicts.code(name) for name in old.filter_names]
    uncompared = (after == 0) & np.isin(before, by_filters)
    return UnitVerdicts(before, after, int((missing & ~fault).sum()), int(uncompared.sum()) if new.decontaminate else 0)


def failed_bits(table: pa.Table, source: str, old: Recipe, new: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Failed bits (uint32) under the new filters, and True for rows that a changed filter drops for lack of a value."""
    stored = np.array(table["failed"].to_numpy(), np.uint32)
    old_bits = {name: bit for bit, name in enumerate(old.filter_names)}
    failed = np.zeros(len(table), np.uint32)
    for bit, name, _ in new.filters_of(source).active():
        if name in old_bits:  # filters over columns may have other bits than in the run
            failed |= (stored >> np.uint32(old_bits[name]) & np.uint32(1)) << np.uint32(bit)
    missing = np.zeros(len(table), bool)
    spoken = spoken_bits(new.filters_of(source), new.speakers)
    for bit, _, chosen in changed_filters(old, new, source):
        passed = chosen.keep(table)
        mask = np.uint32(1 << bit)
        answered = np.ones(len(table), bool)
        for state in (state for state, bits in spoken.items() if bits & mask):
            answered &= ~has_no_answer(table[state])
        missing |= flags(pc.is_null(passed)) & answered
        failed = (failed & ~mask) | np.where(flags(pc.fill_null(passed, False)) | ~answered, np.uint32(0), mask)
    return failed, missing


def _unspoken(table: pa.Table, source: str, new: Recipe, failed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True for rows whose image a speaker could not be shown, and for rows that pass and lack an answer that is judged."""
    unseen, unasked = np.zeros(len(table), bool), np.zeros(len(table), bool)
    judged = spoken_bits(new.filters_of(source), new.speakers)
    for speaker in new.speakers:
        states = table[speaker.state_column].combine_chunks()
        unseen |= _where(states, lambda state: state.startswith(BAD))
        if speaker.state_column in judged:
            unasked |= _where(states, lambda state: state.startswith(NOT_ASKED)) & (failed == 0)
    return unseen, unasked


def _fault_codes(states: pa.DictionaryArray, verdicts: VerdictIndex) -> np.ndarray:
    """The codes (uint16) of states that are faults; 0 for all others."""
    table = [verdicts.code(state) if state.startswith(BAD) else 0 for state in states.dictionary.to_pylist()]
    result: np.ndarray = np.array(table, np.uint16)[states.indices.to_numpy()]
    return result


def _needs_scores(recipe: Recipe, source: str) -> bool:
    """True if a verdict of this source depends on what stage score measures."""
    compares_looks = recipe.dedup.near_duplicate is not None or any(b.radius is not None for b in recipe.decontaminate)
    return compares_looks or bool(scored_bits(recipe.filters_of(source), recipe.score))


def _where(column: pa.DictionaryArray, condition: Callable[[str], bool]) -> np.ndarray:
    """True for the rows of a dictionary column whose value meets the condition, which is asked once per value."""
    table = np.array([condition(value) for value in column.dictionary.to_pylist()], bool)
    result: np.ndarray = table[column.indices.to_numpy()] if len(table) else np.zeros(len(column), bool)
    return result
