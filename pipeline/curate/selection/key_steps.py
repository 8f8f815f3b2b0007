"""Exact duplicates as steps of select, on files: ``emit`` (keys by partition) -> ``resolve`` (the losers of a partition).

A rule of near duplicates begins with the same two steps: they leave one row for each pair of hash and tint.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from qvl.pipeline.base.arrays import flags, hash_words
from qvl.pipeline.curate.selection.groups import Group
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.step_files import DividedArray, commit_divided_array, commit_losers, load_part
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.verdict_codes import KEEP_CODE, codes_after
from qvl.pipeline.duplicates.near import mixed
from qvl.pipeline.duplicates.rules import KEY, MIX, losers, rank, split
from qvl.pipeline.storage.paths import map_concurrently


def emit(task: SelectTask) -> ArrayManifest:
    """Commit the key records (KEY) of a group's kept rows for one rule, divided by partition."""

    def keys() -> DividedArray:
        kept, sources = codes_after(task, task.number, task.rule) == KEEP_CODE, task.duplicate_rule.sources
        parts = [np.empty(0, task.duplicate_rule.key_type)]
        for i, (unit, source) in enumerate(zip(task.group.units, task.group.sources, strict=True)):
            if sources is None or source in sources:
                first, last = task.group.starts[i : i + 2]
                parts.append(row_keys(task, unit, source, np.flatnonzero(kept[first:last]), int(first)))
        ordered, offsets = split(np.concatenate(parts), task.partitions)
        return DividedArray(ordered, tuple(offsets.tolist()))

    return commit_divided_array(task, f"keys-{task.duplicate_rule.step}", keys)


def resolve(task: SelectTask) -> ArrayManifest:
    """Commit the losers of one partition of one rule."""
    rule = task.duplicate_rule

    def partition_of(group: Group) -> np.ndarray:
        return load_part(task, f"keys-{rule.step}", group.number, task.number)

    return commit_losers(
        task,
        f"losers-{rule.step}",
        lambda: losers(np.concatenate(map_concurrently(task.out, partition_of, task.groups)), rule),
    )


def row_keys(task: SelectTask, unit: str, source: str, kept: np.ndarray, start: int) -> np.ndarray:
    """Key records of a unit's rows ``kept`` for one duplicate rule; ``start`` is the position of the unit in its group."""
    rule = task.duplicate_rule
    if rule.near is not None:
        return look_keys(task, unit, source, kept, start)
    names = ["image_hash", "text_hash", "width", "height", "characters", "language"]
    columns = task.read(unit, source, names if rule.per_language else names[:-1])
    image, text = hash_words(columns["image_hash"]), hash_words(columns["text_hash"])
    words = {"image": image, "text": text, "pair": image ^ (text * MIX)}[rule.key][kept]
    if rule.sources is not None:
        words = words ^ (np.full(2, MIX) * np.uint64(1 + rule.sources.index(source)))  # arrays wrap, scalars would warn
    if rule.per_language:
        words = words ^ (language_keys(columns["language"])[kept, None] * MIX)
    result = np.empty(len(kept), KEY)
    result["low"], result["high"] = words[:, 0], words[:, 1]
    fill_positions(result, task, source, columns, kept, start)
    if rule.key != "text":
        return result
    return result[flags(pc.is_valid(columns["text_hash"]))[kept]]


def look_keys(task: SelectTask, unit: str, source: str, kept: np.ndarray, start: int) -> np.ndarray:
    """Key records of those rows ``kept`` that have a perceptual hash of enough contrast.

    ``low`` is the hash. ``high`` is the tint, mixed with the hash so that its bits spread over all partitions.
    """
    rule, names = task.duplicate_rule, ["phash", "phash_tint", "phash_spread", "width", "height", "characters"]
    names += ["language"] if rule.per_language else []
    columns = task.read(unit, source, names)
    near = rule.near
    spread = columns["phash_spread"].combine_chunks().to_numpy(zero_copy_only=False)  # NaN where there is no hash
    kept = kept[spread[kept] >= np.float32(near.minimum_spread if near else 0)]
    result = np.empty(len(kept), rule.key_type)
    result["low"] = _integers(columns["phash"])[kept]
    if rule.per_language:
        result["language"] = language_keys(columns["language"])[kept]
    result["high"] = mixed(result["low"]) ^ _integers(columns["phash_tint"])[kept]
    fill_positions(result, task, source, columns, kept, start)
    return result


def fill_positions(
    result: np.ndarray, task: SelectTask, source: str, columns: pa.Table, kept: np.ndarray, start: int
) -> None:
    """Set rank, group and row in the records of a unit's rows ``kept``."""
    width, height, characters = (_integers(columns[name])[kept] for name in ("width", "height", "characters"))
    result["rank"] = rank(task.duplicate_rule, width * height, characters, task.recipe.source(source).priority)
    result["group"], result["row"] = task.number, kept + start


def language_keys(column: pa.ChunkedArray) -> np.ndarray:
    """A uint64 for each row that is equal for rows of equal language; 0 where the language is null.

    Dictionaries of units differ, so their codes cannot be compared.
    """
    languages = column.combine_chunks()
    names = languages.dictionary.to_pylist()
    keys = np.array([*(xxhash.xxh3_64_intdigest(str(name).encode()) for name in names), 0], np.uint64)
    result: np.ndarray = keys[pc.fill_null(languages.indices, len(names)).to_numpy().astype(np.int64)]
    return result


def _integers(column: pa.ChunkedArray) -> np.ndarray:
    """An integer column as uint64, 0 where null."""
    return pc.fill_null(column, 0).combine_chunks().to_numpy().astype(np.uint64)
