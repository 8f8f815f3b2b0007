"""Step ``judge``: the filters, over the columns of a group. The result is a bit mask per row; no pixel is read."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.step_files import commit_array
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.filters import Filters
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.recipe.speakers import NOT_ASKED, Speaker

FAULT_BIT = np.uint32(1 << 31)
NO_BITS = np.uint32(0)
NO_SPEAKERS: Mapping[str, np.uint32] = {}
RUN_UNITS = 32


def judge(task: SelectTask) -> ArrayManifest:
    """Commit the failed bits (uint32) of a group's rows: bit i for filter i, or ``FAULT_BIT`` alone."""

    def failed_bits() -> np.ndarray:
        parts = []
        for source, units in runs(task.group):
            filters = task.recipe.filters_of(source)
            needed = {name for _, _, chosen in filters.active() for name in chosen.judged_columns}
            needed |= {"fault"} if task.recipe.score is None else {"fault", "score_state"}
            spoken = spoken_bits(filters, task.recipe.speakers)
            needed |= set(spoken)
            tables = [task.read(unit, source, sorted(needed)) for unit in units]
            columns = pa.concat_tables(tables).combine_chunks()
            parts.append(judge_rows(columns, filters, scored_bits(filters, task.recipe.score), spoken))
        return np.concatenate(parts)

    return commit_array(task, "judged", failed_bits)


def runs(group: Group) -> list[tuple[str, list[str]]]:
    """Each source with at most ``RUN_UNITS`` consecutive units of it.

    Small units are judged together because a call costs more than judging their rows.
    """
    result: list[tuple[str, list[str]]] = []
    for unit, source in zip(group.units, group.sources, strict=True):
        if not result or result[-1][0] != source or len(result[-1][1]) >= RUN_UNITS:
            result.append((source, []))
        result[-1][1].append(unit)
    return result


def scored_bits(filters: Filters, score: Score | None) -> np.uint32:
    """The bits of the filters that judge what stage score measured."""
    measured = score.measured() if score else frozenset()
    bits = (1 << bit for bit, _, chosen in filters.active() if measured & set(chosen.judged_columns))
    return np.uint32(sum(bits))


def spoken_bits(filters: Filters, speakers: Sequence[Speaker]) -> dict[str, np.uint32]:
    """By the column of a speaker's state, the bits of the filters that judge what it said, where there are any."""
    found = {}
    for speaker in speakers:
        bits = (1 << bit for bit, _, chosen in filters.active() if set(speaker.columns) & set(chosen.judged_columns))
        found[speaker.state_column] = np.uint32(sum(bits))
    return {state: bits for state, bits in found.items() if bits}


def has_no_answer(states: pa.ChunkedArray) -> np.ndarray:
    """True where a speaker was not asked, or could not be shown the image."""
    texts = states.cast(pa.string())
    unasked: np.ndarray = flags(pc.or_(pc.starts_with(texts, NOT_ASKED), pc.starts_with(texts, BAD)))
    return unasked


def judge_rows(
    columns: pa.Table, filters: Filters, scored: np.uint32 = NO_BITS, spoken: Mapping[str, np.uint32] = NO_SPEAKERS
) -> np.ndarray:
    """The failed bits (uint32) of rows given as columns. A row with a fault has ``FAULT_BIT`` and no other bit.

    A row about which a speaker was not asked fails another filter, and none that judges the answer (``spoken``).

    A row whose pixels cannot be decoded has a fault, too, unless it fails a filter on scanned columns (one whose bit is not
    in ``scored``): what is known about a row's pixels must not change the reason for which it is dropped.
    """
    failed = np.zeros(len(columns), np.uint32)
    for bit, _, chosen in filters.active():
        passed = flags(pc.fill_null(chosen.keep(columns), False))
        failed |= (~passed).astype(np.uint32) << np.uint32(bit)
    for state, bits in spoken.items():
        failed[has_no_answer(columns[state])] &= ~bits
    if "score_state" in columns.column_names:
        undecodable = flags(pc.starts_with(columns["score_state"].cast(pa.string()), BAD))
        failed[undecodable & (failed & ~scored == 0)] = FAULT_BIT
    failed[flags(pc.is_valid(columns["fault"]))] = FAULT_BIT
    return failed


def first_failed(failed: np.ndarray) -> np.ndarray:
    """For each bit mask (uint32) 1 + the number of its lowest set bit, or 0 for an empty mask.

    Example: filters 2 and 4 fail, so the mask is 0b10100. ``mask & -mask`` keeps the lowest set bit alone, 0b00100 = 4.
    ``frexp`` writes 4 as 0.5 * 2**3, and its exponent 3 is 1 + 2. Every power of two is exact in float32, and frexp(0)
    has the exponent 0.
    """
    lowest = failed & (~failed + np.uint32(1))  # -failed; numpy warns where it negates unsigned integers
    exponents: np.ndarray = np.frexp(lowest.astype(np.float32))[1]
    return exponents
