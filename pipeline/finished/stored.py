"""The stored columns of a finished run as arrays over all rows: what thresholds are judged on without reading an image.

Rows are in select's order, unit after unit. What depends on the rows alone (which rows can meet in a duplicate rule) is kept
in ``OUT/whatif``: a cache that may be deleted at any time.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import read_columns
from qvl.pipeline.curate.recipe_note import read_recipe_note
from qvl.pipeline.curate.selection.groups import Group, read_groups
from qvl.pipeline.curate.selection.key_steps import row_keys
from qvl.pipeline.curate.selection.ledger import read_select_summary
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.near import PAIR, near_pairs
from qvl.pipeline.duplicates.rules import KEY, DuplicateRule, in_order, twins
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.arrow_files import load_array, read_parquet
from qvl.pipeline.storage.paths import AnyPath

THREADS = 4

Result = TypeVar("Result")


def stored_recipe(out: AnyPath) -> tuple[Recipe, str]:
    """The recipe of a finished run, without its paths, and the fingerprint of its verdicts."""
    content: Any = read_recipe_note(out)
    selected = read_select_summary(out)
    if content is None or selected is None:
        raise RecipeError(f"{out}: there is no finished select stage here; `qvl curate run` makes one")
    nowhere = {"kind": "webdataset", "paths": ["-"]}
    sources = [{**source, "name": name, "read": nowhere} for name, source in content.pop("sources").items()]
    benchmarks = content.pop("decontaminate", {})
    clip = (content.get("score") or {}).get("clip") or {}
    for model in ("english", "chinese"):
        if clip.get(model):
            clip[model] |= {"model": "-", "pretrained": "-"}
    known = {key: value for key, value in content.items() if key in Recipe.model_fields}
    lists = [{"name": name, "path": "-", "radius": radius} for name, (radius, _) in benchmarks.items()]
    return Recipe.model_validate({**known, "sources": sources, "decontaminate": lists}), selected.fingerprint


@dataclass(frozen=True)
class DuplicateCandidates:
    """Rows that share a rule's key with another readable row, best first inside each key.

    ``rows`` are numbers over all rows, ``runs`` number the keys. Of a rule of near duplicates ``keys`` and ``pairs`` hold
    the records and the near hashes.
    """

    PARTS: ClassVar[tuple[str, ...]] = ("rows", "runs", "keys", "pairs")

    rows: np.ndarray
    runs: np.ndarray
    keys: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True)
class Stored:
    """A finished run. ``fingerprint`` is that of its verdicts."""

    out: AnyPath
    recipe: Recipe
    fingerprint: str

    @classmethod
    def open(cls, out: AnyPath) -> "Stored":
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
        """Number of the first row of each group."""
        return np.concatenate(([0], np.cumsum([sum(group.rows) for group in self.groups])))

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    def ledgers(self, columns: Iterable[str]) -> Iterable[pa.Table]:
        """These ledger columns of every unit, in order."""
        return self.over_units(columns, lambda _, table: table)

    def over_units(self, columns: Iterable[str], function: Callable[[str, pa.Table], Result]) -> Iterator[Result]:
        """``function`` of each unit's source and these ledger columns, in threads; results in order."""
        names, layout = sorted(set(columns)), Layout(self.out)

        def one(unit: tuple[str, str]) -> Result:
            return function(unit[1], read_parquet(layout.ledger(unit[0]), names))

        with ThreadPoolExecutor(THREADS) as threads:
            yield from threads.map(one, self.units)

    def twins(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """The twins of one of the recipe's duplicate rules, from the cache where they were asked for before."""
        paths = self.twin_files(recipe, rule)
        if not all(path.is_file() for path in paths):
            made = self.make_twins(recipe, rule)
            with attempt(self.out) as private:
                for part, path in zip(DuplicateCandidates.PARTS, paths, strict=True):
                    np.save(private / path.name, getattr(made, part))
                    publish(private / path.name, path, file_hash(private / path.name))
        return DuplicateCandidates(*(load_array(path) for path in paths))

    def twin_files(self, recipe: Recipe, rule: int) -> list[AnyPath]:
        """Where the cache keeps the twins of a rule."""
        chosen = SelectTask(self.out, recipe, self.fingerprint, 0, rule).rules[rule]
        priorities = {source.name: source.priority for source in recipe.sources}
        name = fingerprint([self.fingerprint, _identity(chosen), priorities])
        return [self.out / "whatif" / f"{name}-{part}.npy" for part in DuplicateCandidates.PARTS]

    def make_twins(self, recipe: Recipe, rule: int) -> DuplicateCandidates:
        """The twins of a rule, from the columns of all rows; nothing is written."""
        task = SelectTask(self.out, recipe, self.fingerprint, 0, rule)
        chosen = task.rules[rule]
        keys = np.concatenate([np.empty(0, KEY), *(self._keys(task, group) for group in self.groups)])
        pairs: np.ndarray = np.empty(0, PAIR)
        if chosen.near:
            pairs = near_pairs(keys["low"], chosen.near.radius)
            met = np.isin(keys["low"], np.concatenate([pairs["low"], pairs["high"]]))
        else:
            met = twins(keys["low"])
        ordered, first = in_order(keys[met])
        rows = self.starts[ordered["group"]] + ordered["row"]
        near = ordered if chosen.near else np.empty(0, KEY)
        return DuplicateCandidates(rows, (np.cumsum(first) - 1).astype(np.int32), near, pairs)

    def _keys(self, task: SelectTask, group: Group) -> np.ndarray:
        """Records of all readable rows of a group, whatever the filters say."""
        parts = [np.empty(0, KEY)]
        for unit, source, start in zip(group.units, group.sources, group.starts.tolist(), strict=False):
            sources = task.rules[task.rule].sources
            if sources is None or source in sources:
                readable = flags(pc.is_null(read_columns(self.out, unit, ["fault"])["fault"]))
                parts.append(
                    row_keys(replace(task, number=group.number), unit, source, np.flatnonzero(readable), start)
                )
        return np.concatenate(parts)


def _identity(rule: DuplicateRule) -> Any:
    """What of a rule decides which rows can meet."""
    near = [rule.near.radius, rule.near.minimum_spread] if rule.near else None
    return [rule.key, rule.rank, rule.sources, near]
