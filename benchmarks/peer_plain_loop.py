"""Peer: the loop that anyone writes first. tarfile, PIL header, four rules and fastText, row by row, on one core.

    python benchmarks/peer_plain_loop.py TAR... [--model lid.176.bin]

It makes the checks of `peer_data_juicer.py` with the same thresholds and the same language model, on the tars as they
are and without decoding pixels; as our scan does, it measures everything of every row. Timed: reading the tars (from
the page cache, which a first pass warms) to the last verdict. NOT timed: imports and loading the language model.
"""

import argparse
import io
import json
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fetch import lid_model
from PIL import Image


def run(
    tars: list[Path], model: Path | None = None, cache: Path = Path(".data/benchmarks"), core: int = 0
) -> dict[str, float]:
    """Rows, rows kept, seconds (wall and CPU), pairs/s and MB/s over the tars, in a process of its own."""
    chosen = model or lid_model(cache)
    command = ["taskset", "-c", str(core), sys.executable, __file__, "--worker", "--model", chosen, *tars]
    answer = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def samples(path: Path) -> Iterator[tuple[bytes, str]]:
    """Image bytes and caption of each sample of a tar whose samples lie together."""
    with tarfile.open(path) as tar:
        key, image, caption = "", b"", ""
        for member in tar:
            stem, _, suffix = member.name.partition(".")
            stream = tar.extractfile(member)
            if stream is None:
                continue
            if stem != key and key:
                yield image, caption
            key = stem
            if suffix == "txt":
                caption = stream.read().decode()
            elif suffix != "json":
                image = stream.read()
        if key:
            yield image, caption


def keep(image: bytes, caption: str, model: Any) -> bool:
    """Measures one sample and applies the rules."""
    with Image.open(io.BytesIO(image)) as header:
        width, height = header.size
    special = sum(not (letter.isalpha() or letter.isspace()) for letter in caption) / max(1, len(caption))
    labels, scores = model.predict(caption.lower().replace("\n", " "))
    return bool(
        1 / 3 <= width / height <= 3
        and min(width, height) >= 100
        and 5 <= len(caption) <= 1000
        and special <= 0.5
        and labels[0] in ("__label__en", "__label__zh")
        and scores[0] >= 0.3
    )


def _work(tars: list[Path], model_path: Path) -> dict[str, float]:
    """The measured loop."""
    import fasttext

    model = fasttext.load_model(str(model_path))
    size = sum(len(path.read_bytes()) for path in tars)
    wall, cpu = time.perf_counter(), _cpu_seconds()
    verdicts = [keep(image, caption, model) for path in tars for image, caption in samples(path)]
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    return {
        "rows": len(verdicts),
        "kept": sum(verdicts),
        "wall_s": round(wall, 3),
        "cpu_s": round(cpu, 3),
        "pairs_per_s": round(len(verdicts) / wall, 1),
        "pairs_per_cpu_s": round(len(verdicts) / cpu, 1),
        "mb_per_cpu_s": round(size / cpu / 1e6, 1),
    }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Command line; `--worker` is how `run` starts the measured process."""
    parser = argparse.ArgumentParser(description="Time a plain Python loop over WebDataset tars, one core.")
    parser.add_argument("tars", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, help="a fastText language model (default: lid.176.bin)")
    parser.add_argument("--data", type=Path, default=Path(".data/benchmarks"), help="cache of downloads")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(_work(options.tars, options.model)))
    else:
        print(json.dumps({"variant": "plain loop"} | run(options.tars, options.model, options.data, options.core)))


if __name__ == "__main__":
    main()
