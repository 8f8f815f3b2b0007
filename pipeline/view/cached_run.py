"""A finished run as the app asks it: nothing is written, and what a question has read serves the next one."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.near import PAIR
from qvl.pipeline.duplicates.rules import KEY, duplicate_rules
from qvl.pipeline.finished.stored_columns import THREADS, DuplicateCandidates, Result, StoredColumns
from qvl.pipeline.recipe.recipe import Recipe

KEPT_ROWS = 50_000_000


class CachedRun(StoredColumns):
    """A finished run whose candidate duplicates are kept in memory unless its cache has them, since the app never writes."""

    @cached_property
    def known(self) -> dict[str, DuplicateCandidates]:
        """Candidates by the name of their file in the cache."""
        return {}

    @cached_property
    def steps(self) -> list[int]:
        """The numbers of the groups of rows searched so far."""
        return []

    @cached_property
    def tables(self) -> dict[tuple[str, ...], list[pa.Table]]:
        """The columns that the last question read, by unit: while a slider moves, the next question reads the same."""
        return {}

    def over_units(self, columns: Iterable[str], function: Callable[[str, str, pa.Table], Result]) -> Iterator[Result]:
        """As in ``StoredColumns``, but columns are read once, unless there are more than ``KEPT_ROWS`` rows."""
        if self.rows > KEPT_ROWS:
            yield from super().over_units(columns, function)
            return
        names = tuple(sorted(set(columns)))
        if names not in self.tables:
            self.tables.clear()
            self.tables[names] = list(super().over_units(names, lambda *unit: unit[2]))
        units, sources = zip(*self.units, strict=True) if self.units else ((), ())
        with ThreadPoolExecutor(THREADS) as threads:
            yield from threads.map(function, units, sources, self.tables[names])

    def missing(self, recipe: Recipe) -> list[int]:
        """Rules whose candidates have not been searched for."""
        numbers = [number for number, rule in enumerate(duplicate_rules(recipe)) if rule.semantic is None]
        files = {number: self.candidate_files(recipe, number) for number in numbers}
        return [n for n, f in files.items() if str(f[0]) not in self.known and not all(path.is_file() for path in f)]

    def duplicate_candidates(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """From the cache of the output if they are there; otherwise they are found and kept in memory."""
        files = self.candidate_files(recipe, rule)
        if str(files[0]) not in self.known:
            kept = all(path.is_file() for path in files)
            self.known[str(files[0])] = (
                super().duplicate_candidates(recipe, rule) if kept else self.find_candidates(recipe, rule)
            )
        return self.known[str(files[0])]

    def _keys(self, task: SelectTask, group: Group) -> np.ndarray:
        found = super()._keys(task, group)
        self.steps.append(group.number)
        return found


@dataclass(frozen=True)
class RunWithoutDuplicates(StoredColumns):
    """A run as if no row had a duplicate."""

    run: StoredColumns

    def over_units(self, columns: Iterable[str], function: Callable[[str, str, pa.Table], Result]) -> Iterator[Result]:
        """The columns of the run."""
        yield from self.run.over_units(columns, function)

    def duplicate_candidates(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """No candidates."""
        return DuplicateCandidates(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, KEY), np.empty(0, PAIR))
