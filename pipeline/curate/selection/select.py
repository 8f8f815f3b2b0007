"""Stage select: columns only, no pixel. Filters, then duplicate rules, to one verdict code per row.

Steps, each a pure function over groups or partitions, each with its own manifest:
``judge`` (filters) -> per duplicate rule ``emit`` (keys by partition) and ``resolve`` (losers) -> ``write_ledger``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.arrays import flags, hash_words
from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.commit.attempts import attempt, publish
from qvl.pipeline.commit.fingerprint import file_hash
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import create_manifest, read_committed, read_manifest
from qvl.pipeline.curate.measuring.scan import read_columns
from qvl.pipeline.curate.measuring.score import read_measured
from qvl.pipeline.curate.selection.groups import Group, read_groups
from qvl.pipeline.duplicates.near import mixed
from qvl.pipeline.duplicates.rules import (
    KEY,
    LOSER,
    MIX,
    DuplicateRule,
    duplicate_rules,
    losers,
    partitions,
    rank,
    split,
    vector_partitions,
)
from qvl.pipeline.filters import Filters
from qvl.pipeline.images.score_images import BAD
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.storage.arrow_files import load_array, load_slice
from qvl.pipeline.storage.paths import Place, map_concurrently

SELECT_VERSION = 2
KEEP_CODE = 0
FAULT = 255
FIRST_DUPLICATE_RULE = 200
BENCHMARK = 100  # code of the recipe's first benchmark
FAULT_BIT = np.uint32(1 << 31)
NO_BITS = np.uint32(0)
RUN_UNITS = 32


@dataclass(frozen=True)
class SelectTask:
    """One group or partition (``number``) of one step. ``fingerprint`` is that of the whole stage."""

    out: Place
    recipe: Recipe
    fingerprint: str
    number: int
    rule: int = -1

    @property
    def groups(self) -> tuple[Group, ...]:
        return read_groups(self.out, self.fingerprint)

    @property
    def group(self) -> Group:
        return self.groups[self.number]

    @property
    def rows(self) -> int:
        """Input rows of the run."""
        return sum(sum(group.rows) for group in self.groups)

    @property
    def partitions(self) -> int:
        return partitions(self.rows)

    @property
    def rules(self) -> tuple[DuplicateRule, ...]:
        return duplicate_rules(self.recipe)


def judge(task: SelectTask) -> dict[str, Any]:
    """Filters over a group: per row the bits of all failed filters."""

    def make() -> np.ndarray:
        parts = []
        for source, units in runs(task.group):
            filters = task.recipe.filters_of(source)
            needed = {name for _, _, chosen in filters.active() for name in chosen.reads}
            needed |= {"fault"} if task.recipe.score is None else {"fault", "score_state"}
            tables = [read_measured(task.out, unit, sorted(needed), task.recipe.score) for unit in units]
            columns = pa.concat_tables(tables).combine_chunks()
            parts.append(judge_rows(columns, filters, scored_bits(filters, task.recipe.score)))
        return np.concatenate(parts)

    return commit_array(task, "judged", make)


def runs(group: Group) -> list[tuple[str, list[str]]]:
    """Consecutive units of one source, together: small units would spend their time on calls, not on rows."""
    result: list[tuple[str, list[str]]] = []
    for unit, source in zip(group.units, group.sources, strict=True):
        if not result or result[-1][0] != source or len(result[-1][1]) >= RUN_UNITS:
            result.append((source, []))
        result[-1][1].append(unit)
    return result


def scored_bits(filters: Filters, score: Score | None) -> np.uint32:
    """The filters that judge what stage score measured."""
    measured = score.measured() if score else frozenset()
    bits = (1 << bit for bit, _, chosen in filters.active() if measured & set(chosen.reads))
    return np.uint32(sum(bits))


def judge_rows(columns: pa.Table, filters: Filters, scored: np.uint32 = NO_BITS) -> np.ndarray:
    """Failed bits (uint32) of rows given as columns; a row with a fault has ``FAULT_BIT`` and is judged by nothing.

    A row whose pixels cannot be decoded has a fault too, unless a filter on scanned columns (one not in ``scored``) fails.
    """
    failed = np.zeros(len(columns), np.uint32)
    for bit, _, chosen in filters.active():
        passed = flags(pc.fill_null(chosen.keep(columns), False))
        failed |= (~passed).astype(np.uint32) << np.uint32(bit)
    if "score_state" in columns.column_names:
        dark = flags(pc.starts_with(columns["score_state"].cast(pa.string()), BAD))
        failed[dark & (failed & ~scored == 0)] = FAULT_BIT
    failed[flags(pc.is_valid(columns["fault"]))] = FAULT_BIT
    return failed


def first_failed(failed: np.ndarray) -> np.ndarray:
    """Verdict codes (uint8): KEEP_CODE, FAULT, or 1 + the lowest set bit."""
    lowest = (failed & (~failed + np.uint32(1))).astype(np.float32)
    codes = ((lowest.view(np.uint32) >> np.uint32(23)).astype(np.int16) - 126).astype(np.uint8)
    codes[failed == 0] = KEEP_CODE
    codes[failed == FAULT_BIT] = FAULT
    return codes


def emit(task: SelectTask) -> dict[str, Any]:
    """Key records of a group's kept rows for one rule, split by partition."""

    offsets: list[int] = []

    def make() -> np.ndarray:
        codes = codes_after(task, task.number, task.rule)
        rule, starts = task.rules[task.rule], task.group.starts
        parts = [np.empty(0, KEY)]
        for i, (unit, source) in enumerate(zip(task.group.units, task.group.sources, strict=True)):
            if rule.sources is None or source in rule.sources:
                kept = np.flatnonzero(codes[starts[i] : starts[i + 1]] == KEEP_CODE)
                parts.append(row_keys(task, unit, source, kept, int(starts[i])))
        ordered, bounds = split(np.concatenate(parts), task.partitions)
        offsets.extend(int(bound) for bound in bounds)
        return ordered

    return commit_array(task, f"keys-{task.rules[task.rule].step}", make, lambda: {"offsets": offsets})


def row_keys(task: SelectTask, unit: str, source: str, kept: np.ndarray, start: int) -> np.ndarray:
    """Records of a unit's rows ``kept`` for one duplicate rule; the unit's first row is ``start`` in its group."""
    rule = task.rules[task.rule]
    if rule.near is not None:
        return look_keys(task, unit, source, kept, start)
    columns = read_columns(task.out, unit, ["image_hash", "text_hash", "width", "height", "characters"])
    image, text = hash_words(columns["image_hash"]), hash_words(columns["text_hash"])
    words = {"image": image, "text": text, "pair": image ^ (text * MIX)}[rule.key][kept]
    if rule.sources is not None:
        words = words ^ (np.full(2, MIX) * np.uint64(1 + rule.sources.index(source)))  # wraps, as arrays may
    result = np.empty(len(kept), KEY)
    result["low"], result["high"] = words[:, 0], words[:, 1]
    fill_places(result, task, source, columns, kept, start)
    if rule.key != "text":
        return result
    return result[flags(pc.is_valid(columns["text_hash"]))[kept]]


def fill_places(
    result: np.ndarray, task: SelectTask, source: str, columns: pa.Table, kept: np.ndarray, start: int
) -> None:
    """Rank and place of records of a unit's rows ``kept``."""
    width, height, characters = (_numbers(columns[name])[kept] for name in ("width", "height", "characters"))
    result["rank"] = rank(task.rules[task.rule], width * height, characters, task.recipe.source(source).priority)
    result["group"], result["row"] = task.number, kept + start


def look_keys(task: SelectTask, unit: str, source: str, kept: np.ndarray, start: int) -> np.ndarray:
    """Records of the rows that have a perceptual hash with contrast: ``low`` is the hash, ``high`` its tint, spread."""
    names = ["phash", "phash_tint", "phash_spread", "width", "height", "characters"]
    columns = read_measured(task.out, unit, names, task.recipe.score)
    near = task.rules[task.rule].near
    spread = columns["phash_spread"].combine_chunks().to_numpy(zero_copy_only=False)  # NaN where there is no hash
    kept = kept[spread[kept] >= np.float32(near.minimum_spread if near else 0)]
    result = np.empty(len(kept), KEY)
    result["low"] = _numbers(columns["phash"])[kept]
    result["high"] = mixed(result["low"]) ^ _numbers(columns["phash_tint"])[kept]
    fill_places(result, task, source, columns, kept, start)
    return result


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """An integer column as uint64, 0 where null."""
    return pc.fill_null(column, 0).combine_chunks().to_numpy().astype(np.uint64)


def resolve(task: SelectTask) -> dict[str, Any]:
    """Losers of one partition of one rule."""
    rule, layout = task.rules[task.rule], Layout(task.out)

    def piece(group: Group) -> np.ndarray:
        offsets = _manifest(task, f"keys-{rule.reason}", group.number)["offsets"]
        return load_slice(
            layout.work(f"keys-{rule.reason}", group.number), offsets[task.number], offsets[task.number + 1]
        )

    def make() -> np.ndarray:
        return losers(np.concatenate(map_concurrently(task.out, piece, task.groups)), rule)

    return commit_losers(task, f"losers-{rule.reason}", make)


def codes_after_filters(task: SelectTask, group: int) -> np.ndarray:
    """Verdict codes of a group after the filters alone."""
    return first_failed(load_array(Layout(task.out).work("judged", group)))


def codes_after(task: SelectTask, group: int, rule: int) -> np.ndarray:
    """Verdict codes of a group after the filters, decontamination and the first ``rule`` duplicate rules."""
    codes = codes_after_filters(task, group)
    if task.recipe.decontaminate:
        marks = load_array(Layout(task.out).work("benchmarks", group))
        codes[marks > 0] = marks[marks > 0]
    for i in range(rule):
        codes[lost_rows(task, group, i)["row"]] = FIRST_DUPLICATE_RULE + i
    return codes


def lost_rows(task: SelectTask, group: int, rule: int) -> np.ndarray:
    """Losers of one rule that lie in one group, over all partitions."""
    chosen = task.rules[rule]
    parts = task.partitions if chosen.semantic is None else vector_partitions(chosen.semantic, task.rows)
    steps = [(f"losers-{chosen.step}", part) for part in range(parts)]
    if chosen.near is not None:
        steps.append((f"settled-{chosen.step}", 0))
    found = map_concurrently(task.out, lambda step: losers_of(task, *step, group), steps)
    return np.concatenate([np.empty(0, LOSER), *found])


def losers_of(task: SelectTask, step: str, part: int, group: int) -> np.ndarray:
    """Losers (LOSER) of one group in one partition's file; of a store only these bytes are read."""
    first, last = _manifest(task, step, part)["offsets"][group : group + 2]
    return load_slice(Layout(task.out).work(step, part), first, last)


def commit_losers(task: SelectTask, step: str, make: Callable[[], np.ndarray]) -> dict[str, Any]:
    """Commit losers (LOSER, sorted by group), with the place of each group's first one."""
    offsets: list[int] = []

    def made() -> np.ndarray:
        found = make()
        offsets.extend(np.searchsorted(found["group"], np.arange(len(task.groups) + 1)).tolist())
        return found

    return commit_array(task, step, made, lambda: {"offsets": offsets})


def _manifest(task: SelectTask, step: str, number: int) -> dict[str, Any]:
    content = read_manifest(Layout(task.out).group_manifest(step, number))
    if content is None:
        raise ContractError(f"{task.out}: step {step} of group {number} is missing; run again")
    return content


def commit_array(
    task: SelectTask, step: str, make: Callable[[], np.ndarray], extra: Callable[[], dict[str, Any]] = dict
) -> dict[str, Any]:
    """Commit an array under a step's name, once."""
    layout = Layout(task.out)
    path = layout.group_manifest(step, task.number)
    committed = read_committed(path, task.fingerprint, [layout.work(step, task.number)])
    if committed is not None:
        return committed
    with attempt(task.out) as folder:
        array = make()
        written = folder / "work.npy"
        np.save(written, array)
        digest = file_hash(written)
        publish(written, layout.work(step, task.number), digest)
    return create_manifest(path, {"fingerprint": task.fingerprint, "rows": len(array), "hash": digest, **extra()})
