"""Near duplicates: all pairs of 64-bit hashes at most 3 bits apart, and who stays. Time, memory, growth, exactness.

Claims: 10 million hashes at radius 3 on two cores; growth from 1M to 10M no worse than n^1.2; exact against brute force on
50,000.

    python benchmarks/near_duplicates.py [--rows 1000000 10000000] [--radius 3] [--exact 50000]

Hashes are random; a fifth are another one's with up to four bits flipped, so that there is something to find. Each size runs
in a process of its own, so that its peak memory is its own; inside, the steps are those of the stage (tables, sort, pairs,
greedy suppression). Processor time is what counts on a shared machine; wall time is printed too.
"""

import argparse
import json
import resource
import time

import numpy as np
from growth import run_sizes

from qvl.pipeline.duplicates.near import PAIR, greedy_suppression, near_pairs, tables
from qvl.pipeline.images.perceptual_hash import BITS, Hashes, distance


def made_hashes(rows: int, seed: int = 0) -> Hashes:
    """Random hashes, a fifth of them near copies."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, rows, np.uint64, endpoint=False)
    copies = rng.choice(rows, rows // 5, replace=False)
    originals = hashes[rng.integers(0, rows, len(copies))].copy()
    flips = rng.integers(0, 5, len(copies))
    for number in range(4):
        bit = np.uint64(1) << rng.integers(0, BITS, len(copies)).astype(np.uint64)
        originals ^= np.where(flips > number, bit, np.uint64(0))
    hashes[copies] = originals
    return hashes


def brute_force(hashes: Hashes, radius: int) -> np.ndarray:
    """Every pair compared."""
    found = [np.empty(0, PAIR)]
    for i in range(len(hashes) - 1):
        near = i + 1 + np.flatnonzero(distance(hashes[i + 1 :], hashes[i]) <= radius)
        pairs = np.empty(len(near), PAIR)
        pairs["low"], pairs["high"] = np.minimum(hashes[near], hashes[i]), np.maximum(hashes[near], hashes[i])
        found.append(pairs)
    return np.unique(np.concatenate(found))


def one_size(rows: int, radius: int) -> dict[str, float]:
    """Search and suppress once."""
    hashes = made_hashes(rows)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, spent = time.perf_counter(), time.process_time()
    pairs = near_pairs(hashes, radius)
    found = time.process_time() - spent
    values = np.unique(np.concatenate([pairs["low"], pairs["high"]]))
    one, other = (np.searchsorted(values, pairs[side]) for side in ("low", "high"))
    proper = one < other
    losers, _ = greedy_suppression(one[proper], other[proper], len(values))
    return {
        "rows": rows,
        "tables": len(tables(radius, rows)),
        "key_bits": tables(radius, rows)[0].key_bits,
        "pairs": len(pairs),
        "losers": len(losers),
        "pairs_cpu_s": round(found, 2),
        "cpu_s": round(time.process_time() - spent, 2),
        "wall_s": round(time.perf_counter() - wall, 2),
        "peak_bytes_per_row": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * 1024 / rows, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--radius", type=int, default=3)
    parser.add_argument("--exact", type=int, default=50_000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_size(options.one, options.radius)))
        return
    if options.exact:
        hashes = made_hashes(options.exact, 1)
        expected, found = brute_force(hashes, options.radius), near_pairs(hashes, options.radius)
        print(
            json.dumps({"exact_rows": options.exact, "pairs": len(expected), "equal": np.array_equal(expected, found)})
        )
    run_sizes(__file__, options.rows, ["--radius", str(options.radius)], {})


if __name__ == "__main__":
    main()
