"""The stored columns of a finished run as arrays over all rows: what thresholds are judged on without reading an image.

Rows are in select's order, unit after unit. Which rows can meet in a duplicate rule depends on the rows alone and is kept
in ``OUT/whatif``, a cache that may be deleted at any time.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.columns import read_columns
from qvl.pipeline.curate.selection.groups import Group, read_groups
from qvl.pipeline.curate.selection.key_steps import row_keys
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.near import PAIR, near_pairs
from qvl.pipeline.duplicates.rules import KEY, DuplicateRule, in_order, is_repeated
from qvl.pipeline.finished.stored_recipe import stored_recipe
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.arrow_files import load_array, read_parquet
from qvl.pipeline.storage.paths import AnyPath

THREADS = 4

Result = TypeVar("Result")


@dataclass(frozen=True)
class DuplicateCandidates:
    """Readable rows that share a rule's key with another one, the best first within each key.

    ``rows`` are numbers over all rows, ``runs`` number the keys. Only a rule of near duplicates has ``keys`` (the records of
    the rows) and ``pairs`` (the near pairs of their hashes).
    """

    PARTS: ClassVar[tuple[str, ...]] = ("rows", "runs", "keys", "pairs")

    rows: np.ndarray
    runs: np.ndarray
    keys: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True)
class StoredColumns:
    """The columns of a finished run. ``recipe`` is the recipe of the run, ``fingerprint`` that of its verdicts."""

    out: AnyPath
    recipe: Recipe
    fingerprint: str

    @classmethod
    def open(cls, out: AnyPath) -> "StoredColumns":
        """Raises RecipeError where select has not finished."""
        return cls(out.resolve(), *stored_recipe(out.resolve()))

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        return read_groups(self.out, self.fingerprint)

    @cached_property
    def units(self) -> list[tuple[str, str]]:
        """Every unit with its source, in select's order."""
        return [pair for group in self.groups for pair in zip(group.units, group.sources, strict=True)]

    @cached_property
    def starts(self) -> np.ndarray:
        """The number of the first row of each group, and of all rows at the end: row 5 of group g is ``starts[g] + 5``."""
        return np.concatenate(([0], np.cumsum([sum(group.rows) for group in self.groups])))

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    def ledgers(self, columns: Iterable[str]) -> Iterable[pa.Table]:
        """These ledger columns of every unit, in order."""
        return self.over_units(columns, lambda *unit: unit[2])

    def over_units(self, columns: Iterable[str], function: Callable[[str, str, pa.Table], Result]) -> Iterator[Result]:
        """``function`` of each unit, of its source and of these ledger columns, in threads. Results come in order."""
        names, layout = sorted(set(columns)), Layout(self.out)

        def one(unit: tuple[str, str]) -> Result:
            return function(*unit, read_parquet(layout.ledger(unit[0]), names, names))

        with ThreadPoolExecutor(THREADS) as threads:
            yield from threads.map(one, self.units)

    def duplicate_candidates(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """The candidates of one of the recipe's duplicate rules, from the cache if they are there."""
        paths = self.candidate_files(recipe, rule)
        if not all(path.is_file() for path in paths):
            found = self.find_candidates(recipe, rule)
            with attempt(self.out) as private:
                for part, path in zip(DuplicateCandidates.PARTS, paths, strict=True):
                    np.save(private / path.name, getattr(found, part))
                    publish(private / path.name, path, file_hash(private / path.name))
        return DuplicateCandidates(*(load_array(path) for path in paths))

    def candidate_files(self, recipe: Recipe, rule: int) -> list[AnyPath]:
        """The files of the cache that hold the candidates of a rule, in the order of ``DuplicateCandidates.PARTS``."""
        chosen = SelectTask(self.out, recipe, self.fingerprint, 0, rule).duplicate_rule
        priorities = {source.name: source.priority for source in recipe.sources}
        choices = [TextChoice.of(recipe, source.name) for source in recipe.sources]
        texts = [choice.identity() for choice in choices if choice is not None]
        name = fingerprint([self.fingerprint, _what_can_meet(chosen), priorities, *texts])
        return [self.out / "whatif" / f"{name}-{part}.npy" for part in DuplicateCandidates.PARTS]

    def find_candidates(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """The candidates of a rule, from the columns of all rows. Writes nothing."""
        task = SelectTask(self.out, recipe, self.fingerprint, 0, rule)
        near = task.duplicate_rule.near
        keys = np.concatenate(
            [np.empty(0, task.duplicate_rule.key_type), *(self._keys(task, group) for group in self.groups)]
        )
        pairs: np.ndarray = np.empty(0, PAIR)
        if near:
            pairs = near_pairs(keys["low"], near.radius)
            chosen = np.isin(keys["low"], np.concatenate([pairs["low"], pairs["high"]]))
        else:
            chosen = is_repeated(keys["low"])
        ordered, first = in_order(keys[chosen])
        rows = self.starts[ordered["group"]] + ordered["row"]
        runs = (np.cumsum(first) - 1).astype(np.int32)
        return DuplicateCandidates(rows, runs, ordered if near else np.empty(0, KEY), pairs)

    def _keys(self, task: SelectTask, group: Group) -> np.ndarray:
        """Key records of all readable rows of a group, whatever the filters say."""
        parts, sources = [np.empty(0, task.duplicate_rule.key_type)], task.duplicate_rule.sources
        for unit, source, start in zip(group.units, group.sources, group.starts.tolist(), strict=False):
            if sources is None or source in sources:
                readable = np.flatnonzero(flags(pc.is_null(read_columns(self.out, unit, ["fault"])["fault"])))
                parts.append(row_keys(replace(task, number=group.number), unit, source, readable, start))
        return np.concatenate(parts)


def _what_can_meet(rule: DuplicateRule) -> list[object]:
    """The settings of a rule that decide which rows can meet, for the name of their files in the cache."""
    near = [rule.near.radius, rule.near.minimum_spread] if rule.near else None
    return [rule.key, rule.rank, rule.sources, near, *(["per_language"] if rule.per_language else [])]
