"""Benchmark images out of the training data: by the hash of their bytes and by a perceptual hash, counted per benchmark.

A benchmark is a list that ``qvl curate hash`` wrote (``qvl.pipeline.exclusion.exclusion``), or a folder of images.
The first benchmark of the recipe that holds a row's image gives its verdict, ``benchmark:<name>``. Colours and contrast
decide nothing here: better one picture too many is lost than a test image kept; only flat pictures have no perceptual hash.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from qvl.pipeline.base.arrays import hash_words
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import file_hash, merkle_root
from qvl.pipeline.curate.measuring.score import read_measured
from qvl.pipeline.curate.selection.select import BENCHMARK, KEEP_CODE, SelectTask, codes_after_filters, commit_array
from qvl.pipeline.duplicates.near import near_any
from qvl.pipeline.exclusion.exclusion import BYTES, MIN_SPREAD, PIXELS, Exclusion, read_rows
from qvl.pipeline.recipe.recipe import Benchmark, Recipe

PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
COLUMNS = ["image_hash", "phash", "phash_spread"]


def pictures(folder: Path) -> list[Path]:
    """Image files below a folder, by name. Raises RecipeError where there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
    if not found:
        raise RecipeError(f"{folder}: no image files (looked for {', '.join(sorted(PICTURES))})")
    return found


def hash_folder(folder: Path, name: str) -> tuple[Exclusion, int, list[Path]]:
    """The list of a folder's images, their number, and those without a perceptual hash (broken or flat)."""
    result, dark, paths = Exclusion(), [], pictures(folder)
    for path in paths:
        if not result.add_image(name, path.read_bytes()):
            dark.append(path)
    return result, len(paths), dark


def benchmark_identity(benchmark: Benchmark) -> str:
    """Hash of what a benchmark holds. Raises RecipeError where there is nothing."""
    path = Path(benchmark.path)
    if path.is_dir():
        return merkle_root(file_hash(picture) for picture in pictures(path))
    if not path.is_file():
        raise RecipeError(
            f"decontaminate: {path}: no such list and no such folder; `qvl curate hash FOLDER` makes a list"
        )
    return file_hash(path)


def benchmarks_identity(recipe: Recipe) -> dict[str, list[Any]]:
    """By name what each benchmark of a recipe compares, wherever it lies."""
    return {one.name: [one.radius, benchmark_identity(one)] for one in recipe.decontaminate}


@lru_cache(maxsize=64)
def benchmark_hashes(path: str, identity: str) -> tuple[frozenset[bytes], np.ndarray, np.ndarray]:
    """Byte hashes, their first words sorted, and perceptual hashes; ``identity`` tells a changed benchmark apart."""
    rows = hash_folder(Path(path), "")[0].rows() if Path(path).is_dir() else read_rows(Path(path))
    same = sorted(bytes.fromhex(value) for kind, value, _ in rows if kind == BYTES)
    looks = np.array([int(value, 16) for kind, value, _ in rows if kind == PIXELS], np.uint64)
    return frozenset(same), np.sort(np.frombuffer(b"".join(same), np.uint64)[::2]), looks


def decontaminate(task: SelectTask) -> dict[str, Any]:
    """Per row of a group 0, or the code of the benchmark that holds it; only rows that the filters keep are asked."""

    def make() -> np.ndarray:
        codes = codes_after_filters(task, task.number)
        marks = np.zeros(len(codes), np.uint8)
        for unit, start in zip(task.group.units, task.group.starts.tolist(), strict=False):
            columns = read_measured(task.out, unit, COLUMNS, task.recipe.score)
            place = slice(start, start + len(columns))
            kept = np.flatnonzero(codes[place] == KEEP_CODE)
            words = hash_words(columns["image_hash"])[kept]
            looks = columns["phash"].fill_null(0).combine_chunks().to_numpy().astype(np.uint64)[kept]
            spread = columns["phash_spread"].combine_chunks().to_numpy(zero_copy_only=False)[kept]
            found = np.zeros(len(kept), np.uint8)
            for code, benchmark in enumerate(task.recipe.decontaminate, BENCHMARK):
                hit = benchmark_hits(benchmark, words, looks, spread >= np.float32(MIN_SPREAD))
                found[hit & (found == 0)] = code
            marks[start + kept] = found
        return marks

    return commit_array(task, "benchmarks", make)


def benchmark_hits(benchmark: Benchmark, words: np.ndarray, looks: np.ndarray, hashed: np.ndarray) -> np.ndarray:
    """True for rows whose bytes (``words`` [n, 2]) or whose look the benchmark holds."""
    same, firsts, targets = benchmark_hashes(benchmark.path, benchmark_identity(benchmark))
    hit = np.isin(words[:, 0], firsts)
    hit[hit] = [row.tobytes() in same for row in words[hit]]
    if benchmark.radius is not None:
        rows = np.flatnonzero(hashed & ~hit)
        hit[rows[near_any(looks[rows], targets, benchmark.radius) >= 0]] = True
    return hit
