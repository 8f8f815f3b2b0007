"""What other thresholds would keep: exact counts from stored columns. Only duplicate rules and balance run again.

Rows that the change lets pass and that stage score never looked at are counted as ``unscored``, neither kept nor lost.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.finished.consistent import consistent
from qvl.pipeline.finished.rejudge import UnitVerdicts, changed_filters, judge_again, with_chosen_texts
from qvl.pipeline.finished.rerun_balance import rerun_balance
from qvl.pipeline.finished.rerun_duplicates import rerun_duplicate_rules
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.verdict_index import UNSCORED, CellIndex, VerdictIndex
from qvl.pipeline.recipe.recipe import Recipe

Funnel = dict[str, dict[str, int]]  # rows by source and verdict

# A row's state is the sum of 1 if it was kept before, 2 if it is kept after, 4 if it is unscored after. Each count sums the
# states in its list: a row gained is in state 2 (kept after, not before), a row lost in state 1.
STATES = 8
STATES_OF = {
    "rows": range(STATES),
    "kept_before": (1, 3, 5, 7),
    "kept_after": (2, 3),
    "gained": (2,),
    "lost": (1,),
    "unscored": (4, 5),
}


@dataclass(frozen=True, slots=True)
class CellCounts:
    """The counts of one cell: a combination of labels, such as source and language."""

    cell: tuple[str, ...]
    rows: int
    kept_before: int
    kept_after: int
    gained: int
    lost: int
    unscored: int


@dataclass(frozen=True, slots=True)
class WhatIfCounts:
    """The counts of an answer over all rows, as funnels before and after, and by cell.

    ``missing`` counts rows without a value that a changed filter needs, ``uncompared`` rows let in that were never
    compared with the benchmarks.
    """

    rows: int
    kept_before: int
    kept_after: int
    gained: int
    lost: int
    unscored: int
    missing: int
    uncompared: int
    before: Funnel
    after: Funnel
    by: tuple[CellCounts, ...]


@dataclass
class Answer:
    """Verdict codes of all rows before and after, and the source and the cell of each row."""

    verdicts: VerdictIndex
    before: np.ndarray
    after: np.ndarray
    cells: np.ndarray
    cell_names: list[tuple[str, ...]]
    sources: np.ndarray
    source_names: list[str]
    missing: int
    uncompared: int

    @property
    def kept(self) -> int:
        return int((self.after == 0).sum())

    def kept_of(self, source: str) -> tuple[int, int]:
        """The rows of a source that are kept after, and all its rows."""
        of_source = self.sources == self.source_names.index(source)
        return int((self.after[of_source] == 0).sum()), int(of_source.sum())

    def funnel(self, codes: np.ndarray) -> Funnel:
        """Rows by source and verdict, for the codes before or after."""
        width = len(self.verdicts.known)
        counts = np.bincount(self.sources * width + codes, minlength=len(self.source_names) * width)
        names = list(self.verdicts.known)
        return {
            source: {name: rows for name, rows in sorted(zip(names, row, strict=True)) if rows}
            for source, row in zip(self.source_names, counts.reshape(-1, width).tolist(), strict=True)
        }

    def counts(self) -> WhatIfCounts:
        """All counts of the answer."""
        state = (self.before == 0).astype(np.int32)
        state += 2 * (self.after == 0).astype(np.int32) + 4 * (self.after == self.verdicts.code(UNSCORED))
        table = np.bincount(self.cells * STATES + state, minlength=STATES * len(self.cell_names)).reshape(-1, STATES)
        by_count = {name: table[:, list(states)].sum(axis=1).tolist() for name, states in STATES_OF.items()}
        order = sorted(range(len(self.cell_names)), key=self.cell_names.__getitem__)
        return WhatIfCounts(
            **{name: sum(numbers) for name, numbers in by_count.items()},
            missing=self.missing,
            uncompared=self.uncompared,
            before=self.funnel(self.before),
            after=self.funnel(self.after),
            by=tuple(
                CellCounts(self.cell_names[cell], **{name: numbers[cell] for name, numbers in by_count.items()})
                for cell in order
            ),
        )


@dataclass(frozen=True, slots=True)
class UnitAnswer:
    """The part of an answer that comes from one unit."""

    verdicts: UnitVerdicts
    cells: np.ndarray
    sources: np.ndarray


def whatif(stored: StoredColumns, changed: Recipe, by: Iterable[str] = ("source",)) -> Answer:
    """What the recipe ``changed`` would keep, counted by the columns ``by``. Its sources and scores are the stored ones.

    Raises DataError if the files of the output contradict each other.
    """
    with consistent(stored.out):
        return _answer(stored, changed, tuple(by))


def _answer(stored: StoredColumns, changed: Recipe, dimensions: tuple[str, ...]) -> Answer:
    verdicts, cells = VerdictIndex.of(changed.filter_names), CellIndex(dimensions)

    def answer_unit(unit: str, source: str, table: pa.Table) -> UnitAnswer:
        texts = with_chosen_texts(table, stored.out, unit, TextChoice.of(changed, source))
        judged = judge_again(texts, source, stored.recipe, changed, verdicts)
        return UnitAnswer(judged, cells.cell_numbers(table, source), cells.source_numbers(source, len(table)))

    units = list(stored.over_units(_needed_columns(stored, changed, dimensions), answer_unit))
    after = np.concatenate([unit.verdicts.after for unit in units])
    rerun_duplicate_rules(stored, changed, verdicts, after)
    rerun_balance(stored, changed, verdicts, after)
    return Answer(
        verdicts=verdicts,
        before=np.concatenate([unit.verdicts.before for unit in units]),
        after=after,
        cells=np.concatenate([unit.cells for unit in units]),
        cell_names=list(cells.known),
        sources=np.concatenate([unit.sources for unit in units]),
        source_names=list(cells.sources),
        missing=sum(unit.verdicts.missing for unit in units),
        uncompared=sum(unit.verdicts.uncompared for unit in units),
    )


def _needed_columns(stored: StoredColumns, changed: Recipe, dimensions: tuple[str, ...]) -> set[str]:
    columns = {"verdict", "failed", *(name for name in dimensions if name != "source")}
    if stored.recipe.score is not None:
        columns.add("score_state")
    columns |= {speaker.state_column for speaker in stored.recipe.speakers}
    for source in {source for _, source in stored.units}:
        columns |= {
            name for _, _, chosen in changed_filters(stored.recipe, changed, source) for name in chosen.judged_columns
        }
    return columns


def verdict_totals(funnel: Funnel) -> Counter[str]:
    """Rows by verdict over all sources."""
    total: Counter[str] = Counter()
    for counts in funnel.values():
        total.update(counts)
    return total
