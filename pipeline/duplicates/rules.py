"""Exact duplicates as a pure function of the rows: a hash-partitioned sort, independent of the order in which rows arrive.

A rule gets one record per row that is still kept, split by key into partitions. Each partition is sorted, and of each run
of equal keys the best rows stay. Memory holds one partition, however many rows there are.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from qvl.pipeline.recipe.duplicates import NearDuplicate, SemanticDuplicate
from qvl.pipeline.recipe.recipe import Recipe

KEY = np.dtype([("low", "<u8"), ("high", "<u8"), ("rank", "<u8"), ("group", "<u4"), ("row", "<u4")])
# the key record of a rule that compares only rows of one language: ``language`` is ``language_keys`` of the row
KEY_BY_LANGUAGE = np.dtype([*KEY.descr, ("language", "<u8")])
LOSER = np.dtype([("group", "<u4"), ("row", "<u4"), ("keeper_group", "<u4"), ("keeper_row", "<u4")])

PARTITION_ROWS = 4_000_000
ROWS_PER_CLUSTER = 4_096
MAX_CLUSTERS = 65_536
PARTITION_VECTORS = 250_000
MIX = np.uint64(0x9E3779B97F4A7C15)


def rank(rule: "DuplicateRule", pixels: np.ndarray, characters: np.ndarray, priority: int) -> np.ndarray:
    """One uint64 per row, highest for the best: the rule's first measure, then the other, then the source's priority.

    Pixels saturate at 2^32 - 1, characters at 65,535.
    """
    pixels = np.minimum(pixels, 0xFFFFFFFF).astype(np.uint64)
    characters = np.minimum(characters, 0xFFFF).astype(np.uint64)
    if rule.rank == "pixels":
        return (pixels << np.uint64(32)) | (characters << np.uint64(16)) | np.uint64(priority)
    return (characters << np.uint64(48)) | (pixels << np.uint64(16)) | np.uint64(priority)


@dataclass(frozen=True)
class DuplicateRule:
    """A duplicate rule: ``reason`` is its verdict, ``key`` is what must be equal, ``allowed`` is how many rows may stay.

    ``rank`` decides first between rows with equal keys, then the other measure, the source's priority and the row's
    position. With ``sources`` the rule applies to each of these sources separately and to no others. With ``near``, rows
    whose keys are near count as well as those with equal keys (``qvl.pipeline.curate.selection.near_steps``). With
    ``semantic``, vectors of ``model`` are compared instead of keys (``qvl.pipeline.curate.selection.semantic_steps``).
    With ``per_language``, only rows whose captions have the same language are duplicates of each other.
    """

    reason: str
    key: Literal["image", "text", "pair", "look", "vector"]
    allowed: int = 1
    rank: Literal["pixels", "characters"] = "pixels"
    sources: tuple[str, ...] | None = None
    near: NearDuplicate | None = None
    semantic: SemanticDuplicate | None = None
    model: str = "clip_english"
    per_language: bool = False

    @property
    def key_type(self) -> "np.dtype[np.void]":
        """The type of the rule's key records. Keys that must be equal have the language mixed in and need no field."""
        return KEY_BY_LANGUAGE if self.per_language and self.near is not None else KEY

    @property
    def step(self) -> str:
        """The rule's name in files: its reason, followed by the model unless that is the English one."""
        return self.reason if self.model == "clip_english" else f"{self.reason}-{self.model}"


def duplicate_rules(recipe: Recipe) -> tuple[DuplicateRule, ...]:
    """The rules of a recipe in their order. Each rule sees only the rows that the rules before it kept.

    ``dedup.per`` concerns the rules that compare images: equal pairs and equal texts have one language in any case.
    """
    result = []
    by_language = "language" in recipe.duplicates_per()
    academic = tuple(source.name for source in recipe.sources if source.academic)
    if academic:
        longest = DuplicateRule("longest_caption", "image", rank="characters", sources=academic)
        result.append(replace(longest, per_language=by_language))
    if recipe.dedup.image:
        result.append(DuplicateRule("duplicate_image", "image", per_language=by_language))
    elif recipe.dedup.pair:
        result.append(DuplicateRule("duplicate_pair", "pair"))
    if recipe.dedup.near_duplicate is not None:
        near = recipe.dedup.near_duplicate
        result.append(DuplicateRule("near_duplicate", "look", near=near, per_language=by_language))
    if recipe.dedup.semantic_duplicate is not None and recipe.score is not None and recipe.score.clip is not None:
        for model in recipe.score.clip.models():  # vectors of different models cannot be compared
            semantic = DuplicateRule("semantic_duplicate", "vector", semantic=recipe.dedup.semantic_duplicate)
            result.append(replace(semantic, model=model, per_language=by_language))
    if recipe.dedup.repeated_text is not None:
        result.append(DuplicateRule("repeated_text", "text", allowed=recipe.dedup.repeated_text))
    return tuple(result)


DUPLICATE_REASONS = (
    "longest_caption",
    "duplicate_image",
    "duplicate_pair",
    "near_duplicate",
    "semantic_duplicate",
    "repeated_text",
)


def partitions(rows: int) -> int:
    """The number of partitions: a power of two with at most about four million rows per partition."""
    return 1 << max(0, int(np.ceil(np.log2(max(1, rows) / PARTITION_ROWS))))


def cluster_count(rule: SemanticDuplicate, rows: int) -> int:
    """The number of k-means clusters for ``rows`` input rows; fewer are trained if fewer vectors differ."""
    return rule.cells or min(MAX_CLUSTERS, max(1, -(-rows // ROWS_PER_CLUSTER)))


def vector_partitions(rule: SemanticDuplicate, rows: int) -> int:
    """The number of partitions of the clusters, so that each holds about 250,000 vectors."""
    return min(cluster_count(rule, rows), max(1, -(-rows // PARTITION_VECTORS)))


def split(keys: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Records sorted by partition, and the offsets [parts + 1] where each partition starts."""
    if parts == 1:
        return keys, np.array([0, len(keys)])
    part = partition_of(keys["high"], parts)
    offsets = np.concatenate(([0], np.cumsum(np.bincount(part, minlength=parts))))
    return keys[np.argsort(part, kind="stable")], offsets


def partition_of(hashes: np.ndarray, parts: int) -> np.ndarray:
    """The partition (int64) of each 64-bit hash, by its upper bits. ``parts`` is a power of two."""
    if parts == 1:
        return np.zeros(len(hashes), np.int64)
    found: np.ndarray = (hashes >> np.uint64(64 - int(parts).bit_length() + 1)).astype(np.int64)
    return found


def losers(keys: np.ndarray, rule: DuplicateRule) -> np.ndarray:
    """The rows to drop, each with the row that it lost to, sorted by (group, row)."""
    suspects, first = in_order(keys[is_repeated(keys["low"])])
    index = np.arange(len(suspects))
    start = np.maximum.accumulate(np.where(first, index, 0))
    lost = index - start >= rule.allowed
    result = np.empty(int(lost.sum()), LOSER)
    result["group"], result["row"] = suspects["group"][lost], suspects["row"][lost]
    keepers = suspects[start[lost]]
    result["keeper_group"], result["keeper_row"] = keepers["group"], keepers["row"]
    return result[np.lexsort([result["row"], result["group"]])]


def in_order(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Records sorted by key, the best first, and True for the first record of each key.

    Records that have a language are equal only if their languages are.
    """
    compared = [name for name in ("language", "high", "low") if name in (keys.dtype.names or ())]
    order = np.lexsort([keys["row"], keys["group"], ~keys["rank"], *(keys[name] for name in compared)])
    ordered = keys[order]
    first = np.ones(len(ordered), bool)
    first[1:] = np.logical_or.reduce([ordered[name][1:] != ordered[name][:-1] for name in compared])
    return ordered, first


def is_repeated(values: np.ndarray) -> np.ndarray:
    """True for each value that occurs more than once."""
    order = np.argsort(values)
    ordered = values[order]
    equal = ordered[1:] == ordered[:-1]
    repeated = np.zeros(len(values), bool)
    repeated[order[1:][equal]] = True
    repeated[order[:-1][equal]] = True
    return repeated
