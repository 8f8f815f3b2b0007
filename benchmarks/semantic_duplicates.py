"""Semantic duplicates: cells, comparison inside them, who stays. Time, memory, growth, exactness.

Claims: exact against brute force inside the cells; growth no worse than n^1.2, because cells keep their size.

    python benchmarks/semantic_duplicates.py [--rows 50000 200000] [--width 512] [--exact 20000]

Vectors are random directions around a tenth as many middles, as near as CLIP vectors of like pictures are (cosine 0.9 to
0.99); a tenth are near copies of another. Each size runs in a process of its own, pinned to one thread: processor seconds
are those of one core. The steps are those of the stage (sample, train, assign, compare) without its files.
"""

import argparse
import json
import resource
import time
from typing import Any

import numpy as np
from growth import run_sizes

from qvl.pipeline.curate.selection.semantic_steps import cell_record, suppress_cells
from qvl.pipeline.duplicates.kmeans import GRID, SAMPLE_PER_CLUSTER, Grid, nearest_clusters, on_grid, train_clusters
from qvl.pipeline.duplicates.near import greedy_suppression
from qvl.pipeline.duplicates.rules import LOSER, cluster_count
from qvl.pipeline.recipe.duplicates import SemanticDuplicate

RULE = SemanticDuplicate(similarity=0.95)


def made_vectors(rows: int, width: int, seed: int = 0) -> Grid:
    """Bunches of like vectors, a tenth near copies, on the grid."""
    random = np.random.default_rng(seed)
    middles = random.normal(size=(max(1, rows // 10), width)).astype(np.float32)
    result = np.empty((rows, width), np.int16)
    for start in range(0, rows, 20_000):
        count = min(20_000, rows - start)
        part = middles[random.integers(0, len(middles), count)]
        part += random.normal(size=(count, width)).astype(np.float32) * np.float32(0.33)
        copies = count // 10
        part[:copies] = part[-copies:] + random.normal(size=(copies, width)).astype(np.float32) * np.float32(0.1)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
        result[start : start + count] = on_grid(part.astype(np.float16))
    return result


def as_cell_record(vectors: Grid, cells: np.ndarray) -> np.ndarray:
    """Rows of one group and one language, all of the same rank."""
    found = np.zeros(len(vectors), cell_record(vectors.shape[1]))
    found["cell"], found["vector"], found["row"] = cells, vectors, np.arange(len(vectors))
    return found


def brute_force(vectors: Grid, cells: np.ndarray) -> np.ndarray:
    """Every pair of a cell in whole numbers, all at once."""
    parts = [np.empty(0, LOSER)]
    for cell in np.unique(cells):
        rows = np.flatnonzero(cells == cell)
        products = vectors[rows].astype(np.int64) @ vectors[rows].astype(np.int64).T
        better, worse = np.nonzero(np.triu(products >= RULE.similarity * GRID * GRID, 1))
        lost, by = greedy_suppression(better, worse, len(rows))
        part = np.zeros(len(lost), LOSER)
        part["row"], part["keeper_row"] = rows[lost], rows[by]
        parts.append(part)
    found = np.concatenate(parts)
    return found[np.argsort(found["row"])]


def one_size(rows: int, width: int) -> dict[str, Any]:
    """All steps once."""
    vectors = made_vectors(rows, width)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cells = cluster_count(RULE, rows)
    start = time.process_time()
    order = np.random.default_rng(1).permutation(rows)[: SAMPLE_PER_CLUSTER * cells]
    centres = train_clusters(vectors[order], cells)
    trained = time.process_time()
    chosen = nearest_clusters(vectors, centres)
    assigned = time.process_time()
    losers = suppress_cells(as_cell_record(vectors, chosen), RULE)
    done = time.process_time()
    return {
        "rows": rows,
        "cells": len(centres),
        "largest_cell": int(np.bincount(chosen).max()),
        "losers": len(losers),
        "train_cpu_s": round(trained - start, 2),
        "assign_cpu_s": round(assigned - trained, 2),
        "compare_cpu_s": round(done - assigned, 2),
        "cpu_s": round(done - start, 2),
        "peak_bytes_per_row": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * 1024 / rows),
    }


def exactness(rows: int, width: int) -> dict[str, Any]:
    """Losers and keepers against brute force in the same cells."""
    vectors = made_vectors(rows, width, 1)
    cells = nearest_clusters(vectors, train_clusters(vectors, cluster_count(RULE, rows)))
    found, expected = suppress_cells(as_cell_record(vectors, cells), RULE), brute_force(vectors, cells)
    return {"exact_rows": rows, "losers": len(expected), "equal": bool(np.array_equal(found, expected))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--exact", type=int, default=20_000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(options.one, options.width)))
        return
    if options.exact:
        print(json.dumps(exactness(options.exact, options.width)), flush=True)
    run_sizes(
        __file__, options.rows, ["--width", str(options.width)], {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    )


if __name__ == "__main__":
    main()
