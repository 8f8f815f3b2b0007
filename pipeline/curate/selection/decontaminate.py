"""Removes benchmark images from the training data: by a hash of their bytes and by a perceptual hash.

A benchmark is a list that ``qvl curate hash`` wrote (``qvl.pipeline.exclusion.exclusion``), or a folder of images.
The first benchmark of the recipe that holds a row's image gives the verdict, ``benchmark:<name>``. Colour and contrast are
not compared: losing one picture too many is better than training on a test image. Only flat pictures have no
perceptual hash.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from qvl.pipeline.base.arrays import hash_words
from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import file_hash, merkle_root
from qvl.pipeline.curate.measuring.measured import read_measured
from qvl.pipeline.curate.selection.manifests import ArrayManifest
from qvl.pipeline.curate.selection.step_files import commit_array
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.curate.selection.verdict_codes import FIRST_BENCHMARK, KEEP_CODE, codes_after_filters
from qvl.pipeline.duplicates.near import near_any
from qvl.pipeline.exclusion.exclusion import BYTES, MIN_SPREAD, PIXELS, Exclusion, read_rows
from qvl.pipeline.recipe.duplicates import Benchmark
from qvl.pipeline.recipe.recipe import Recipe

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
COLUMNS = ["image_hash", "phash", "phash_spread"]


@dataclass(frozen=True, slots=True)
class HashedFolder:
    """The exclusion list of a folder's images, their number, and those without a perceptual hash (corrupted or flat)."""

    exclusion: Exclusion
    images: int
    without_look: list[Path]


@dataclass(frozen=True, slots=True)
class BenchmarkHashes:
    """A benchmark's 16-byte file hashes, the first 8 bytes of each as a sorted uint64, and the perceptual hashes."""

    files: frozenset[bytes]
    first_words: np.ndarray
    looks: np.ndarray


def image_files(folder: Path) -> list[Path]:
    """The image files below a folder, by name. Raises RecipeError if there are none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not found:
        raise RecipeError(f"{folder}: no image files (looked for {', '.join(sorted(IMAGE_SUFFIXES))})")
    return found


def hash_folder(folder: Path, name: str) -> HashedFolder:
    """Hash every image below a folder for the benchmark ``name``. Raises RecipeError if there are none."""
    exclusion, without_look, paths = Exclusion(), [], image_files(folder)
    for path in paths:
        if not exclusion.add_image(name, path.read_bytes()):
            without_look.append(path)
    return HashedFolder(exclusion, len(paths), without_look)


def benchmark_identity(benchmark: Benchmark) -> str:
    """Hash of what a benchmark holds. Raises RecipeError if there is neither such a list nor such a folder."""
    path = Path(benchmark.path)
    if path.is_dir():
        return merkle_root(file_hash(image) for image in image_files(path))
    if not path.is_file():
        raise RecipeError(
            f"decontaminate: {path}: no such list and no such folder; `qvl curate hash FOLDER` makes a list"
        )
    return file_hash(path)


def benchmarks_identity(recipe: Recipe) -> dict[str, list[int | str | None]]:
    """For each benchmark of a recipe, by name, its radius and the hash of what it holds, wherever it is stored."""
    return {benchmark.name: [benchmark.radius, benchmark_identity(benchmark)] for benchmark in recipe.decontaminate}


@lru_cache(maxsize=64)
def benchmark_hashes(path: str, identity: str) -> BenchmarkHashes:
    """The hashes of a list or of a folder; ``identity`` keeps the cache from serving a benchmark that has changed."""
    rows = hash_folder(Path(path), "").exclusion.rows() if Path(path).is_dir() else read_rows(Path(path))
    files = sorted(bytes.fromhex(value) for kind, value, _ in rows if kind == BYTES)
    looks = np.array([int(value, 16) for kind, value, _ in rows if kind == PIXELS], np.uint64)
    return BenchmarkHashes(frozenset(files), np.sort(np.frombuffer(b"".join(files), np.uint64)[::2]), looks)


def decontaminate(task: SelectTask) -> ArrayManifest:
    """Commit for each row of a group the code of the benchmark that holds it, or 0; only rows kept so far are compared."""

    def benchmark_codes() -> np.ndarray:
        codes = codes_after_filters(task, task.number)
        result = np.zeros(len(codes), np.uint8)
        for unit, start in zip(task.group.units, task.group.starts.tolist(), strict=False):
            columns = read_measured(task.out, unit, COLUMNS, task.recipe.score)
            kept = np.flatnonzero(codes[start : start + len(columns)] == KEEP_CODE)
            result[start + kept] = first_benchmark(task.recipe, columns, kept)
        return result

    return commit_array(task, "benchmarks", benchmark_codes)


def first_benchmark(recipe: Recipe, columns: pa.Table, kept: np.ndarray) -> np.ndarray:
    """For each of a unit's rows ``kept`` the code of the first benchmark that holds its image, or 0."""
    words = hash_words(columns["image_hash"])[kept]
    looks = columns["phash"].fill_null(0).combine_chunks().to_numpy().astype(np.uint64)[kept]
    spread = columns["phash_spread"].combine_chunks().to_numpy(zero_copy_only=False)[kept]
    found = np.zeros(len(kept), np.uint8)
    for code, benchmark in enumerate(recipe.decontaminate, FIRST_BENCHMARK):
        hit = benchmark_hits(benchmark, words, looks, spread >= np.float32(MIN_SPREAD))
        found[hit & (found == 0)] = code
    return found


def benchmark_hits(benchmark: Benchmark, words: np.ndarray, looks: np.ndarray, hashed: np.ndarray) -> np.ndarray:
    """True for rows that the benchmark holds: by their file hash (``words`` [n, 2]), or by their perceptual hash.

    ``hashed`` is False for rows whose perceptual hash (``looks``) says nothing.
    """
    known = benchmark_hashes(benchmark.path, benchmark_identity(benchmark))
    hit = np.isin(words[:, 0], known.first_words)
    hit[hit] = [row.tobytes() in known.files for row in words[hit]]
    if benchmark.radius is not None:
        rows = np.flatnonzero(hashed & ~hit)
        hit[rows[near_any(looks[rows], known.looks, benchmark.radius) >= 0]] = True
    return hit
