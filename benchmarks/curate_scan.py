"""Scan: pairs per second and core on tars of real-size photographs, against data-juicer and a plain loop in one run.

Claim: at least 8,000 pairs per CPU second, at least 20 times data-juicer's best setting (fused operators).

    python benchmarks/curate_scan.py [--rows 10000] [--data .data/benchmarks]

Same tars, same core, one after the other. Ours is the whole stage as `qvl curate run` runs it: tar, header, hash, cleaning,
counts, language, parquet and commit. The limit is reading the tar (hash of all bytes) plus one fastText call per caption.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peer_data_juicer
import peer_plain_loop
import photo_tars
import xxhash


def scan(tars: list[Path]) -> dict[str, float]:
    """Our stage scan, after one warm-up unit: models and tables are loaded once per worker, whatever the rows."""
    from qvl.pipeline.curate.curation import Curation
    from qvl.pipeline.curate.measuring.scan import scan_unit
    from qvl.pipeline.recipe.recipe import Recipe

    def recipe(paths: list[Path]) -> Recipe:
        read = {"kind": "webdataset", "paths": [str(path) for path in paths]}
        return Recipe.model_validate({"name": "bench", "sources": [{"name": "photos", "read": read}]})

    folder = Path(tempfile.mkdtemp(prefix="qvl-scan-"))
    try:
        for task in Curation(recipe(tars[:1]), folder / "warm").scan_tasks():
            scan_unit(task)
        tasks = Curation(recipe(tars), folder / "out").scan_tasks()
        wall, cpu = time.perf_counter(), time.process_time()
        rows = sum(scan_unit(task).rows for task in tasks)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    finally:
        shutil.rmtree(folder)
    return {"rows": rows, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "pairs_per_cpu_s": round(rows / cpu, 1)}


def limit(tars: list[Path]) -> dict[str, float]:
    """Every byte of the tars hashed once, and fastText once per caption."""
    from qvl.pipeline.captions.language import LanguageModel

    captions = [text for tar in tars for _, text in peer_plain_loop.samples(tar)]
    model = LanguageModel()
    start = time.process_time()
    for tar in tars:
        xxhash.xxh3_128_digest(tar.read_bytes())
    read = time.process_time() - start
    start = time.process_time()
    for caption in captions:
        model.first_answer(caption)
    language = time.process_time() - start
    return {
        "read_s": round(read, 3),
        "fasttext_s": round(language, 3),
        "pairs_per_cpu_s": len(captions) / (read + language),
    }


def alone(what: str, tars: list[Path]) -> dict[str, float]:
    """One of our measurements in a process of its own on core 0."""
    command = ["taskset", "-c", "0", sys.executable, __file__, "--worker", what, *map(str, tars)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tars", nargs="*", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--peer-rows", type=int, default=5_000, help="rows that the peers get (a multiple of 2,500)")
    parser.add_argument("--data", type=Path, default=Path(".data/benchmarks"))
    parser.add_argument("--worker", choices=["scan", "limit"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps({"scan": scan, "limit": limit}[options.worker](options.tars)))
        return
    tars = photo_tars.make(options.data / f"tars-{options.rows}", options.rows, cache=options.data)
    few = tars[: max(1, options.peer_rows // 2500)]
    ours, floor = alone("scan", tars), alone("limit", tars)
    loop = peer_plain_loop.run(few, cache=options.data)
    fused = peer_data_juicer.run(few, "fused", cache=options.data)
    again = alone("scan", tars)
    rate = max(ours["pairs_per_cpu_s"], again["pairs_per_cpu_s"])
    print(json.dumps({"ours": [ours, again], "limit": floor, "plain_loop": loop, "data_juicer_fused": fused}, indent=1))
    print(f"pairs per CPU second: {rate:,.0f}")
    print(f"times data-juicer fused: {rate / fused['pairs_per_cpu_s']:.1f}")
    print(f"times a plain loop: {rate / loop['pairs_per_cpu_s']:.1f}")
    print(f"share of the limit: {rate / floor['pairs_per_cpu_s']:.2f}")


if __name__ == "__main__":
    main()
