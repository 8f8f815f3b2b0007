"""Peer: py-data-juicer 1.6.1 doing the checks of our scan on one core, in its own virtual environment.

    python benchmarks/peer_data_juicer.py TAR... [--variant plain|fused|text]

Variants: `plain` (five filters), `fused` (the same with `op_fusion: true`, its best setting), `text` (without the two
that open images). Filters, cheapest first: text_length, special_characters, language_id_score (lid.176.bin),
image_aspect_ratio, image_shape. A row dropped by one is not measured by the next, unlike in our scan.

Timed is only `dataset.process(operators)`. NOT timed: making the environment, unpacking the tars to loose JPEGs and
JSONL (it is given files, so it never reads a tar), imports, loading the JSONL, operator construction, the export. A run
on one row goes first and warms imports; a second one measures the fixed cost (loading the language model, Arrow files),
which `pairs_per_s` leaves out: that favours the peer. Images lie in the page cache. Monitor, tracer, checkpoints and
caches are off. One process pinned to one core, one thread per library, operators in that process (`num_proc` None: a
pool of one would fork for every operator). Fusion is `greedy`: here the order that `probe` finds, without its noise.
`pairs_per_cpu_s` is the figure to compare where other work shares the machine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from fetch import lid_model

PINNED = (
    "py-data-juicer==1.6.1",
    "datasets==5.2.0",
    "pyarrow==26.0.1",
    "pandas==3.1.1",
    "numpy==2.4.6",
    "pillow==13.0.0",
)
PINNED_BESIDE = ("aiohttp==3.14.5", "av==18.1.0", "fasttext-predict==0.9.2.4")  # wanted at run time, not declared
TORCH = "torch==2.13.0"
FUSED_BATCH = 200  # rows whose decoded images it holds at once: a fifth faster than its default of 1000
TEXT_FILTERS: list[dict[str, Any]] = [
    {"text_length_filter": {"min_len": 5, "max_len": 1000}},
    {"special_characters_filter": {"max_ratio": 0.5}},
    {"language_id_score_filter": {"lang": ["en", "zh"], "min_score": 0.3}},
]
IMAGE_FILTERS: list[dict[str, Any]] = [
    {"image_aspect_ratio_filter": {"min_ratio": 1 / 3, "max_ratio": 3.0}},
    {"image_shape_filter": {"min_width": 100, "min_height": 100}},
]
VARIANTS = {"plain": TEXT_FILTERS + IMAGE_FILTERS, "fused": TEXT_FILTERS + IMAGE_FILTERS, "text": TEXT_FILTERS}


def environment(cache: Path) -> Path:
    """The Python of data-juicer's own environment, made once (about 4 minutes)."""
    folder = cache / "venv-data-juicer"
    python, ready = folder.resolve() / "bin" / "python", folder / "ready.json"
    pins = [TORCH, *PINNED, *PINNED_BESIDE]
    if not ready.exists() or json.loads(ready.read_text()) != pins:
        venv.create(folder, clear=True, with_pip=True)
        for group in ([TORCH], [*PINNED, *PINNED_BESIDE]):
            subprocess.run([python, "-m", "pip", "install", "-q", *group], check=True, stdout=sys.stderr)
        ready.write_text(json.dumps(pins))
    return python


def unpack(tars: list[Path], folder: Path) -> int:
    """Writes the tars' samples as `rows.jsonl` and `images/`, as data-juicer reads them; returns the rows."""
    (folder / "images").mkdir(parents=True)
    captions: dict[str, str] = {}
    images: dict[str, str] = {}
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                name = Path(member.name)
                stream = tar.extractfile(member)
                if stream is None or name.suffix == ".json":
                    continue
                if name.suffix == ".txt":
                    captions[name.stem] = stream.read().decode()
                else:
                    target = folder.resolve() / "images" / name.name
                    target.write_bytes(stream.read())
                    images[name.stem] = str(target)
    rows = [json.dumps({"text": captions[key], "images": [images[key]]}, ensure_ascii=False) for key in images]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    return len(rows)


def run(
    tars: list[Path], variant: str = "fused", cache: Path = Path(".data/benchmarks"), core: int = 0
) -> dict[str, float]:
    """Rows, rows kept, seconds (wall, CPU, fixed) and pairs/s of one variant over the tars."""
    python, model = environment(cache), lid_model(cache).resolve()
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS")
    with tempfile.TemporaryDirectory(dir=cache) as name:
        folder = Path(name).resolve()
        unpack(tars, folder / "input")
        settings = {
            **os.environ,
            **dict.fromkeys(threads, "1"),
            "DATA_JUICER_EXTERNAL_MODELS_HOME": str(model.parent),
            "DATA_JUICER_CACHE_HOME": str(folder / "home"),
            "HF_HOME": str(folder / "hf"),
            "HF_DATASETS_OFFLINE": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        }
        command = [
            "taskset",
            "-c",
            str(core),
            python,
            Path(__file__).resolve(),
            "--worker",
            folder,
            "--variant",
            variant,
        ]
        subprocess.run(list(map(str, command)), env=settings, check=True, cwd=folder, stdout=sys.stderr)
        result: dict[str, float] = json.loads((folder / "result.json").read_text())
        return result


def _work(folder: Path, variant: str) -> None:
    """Runs inside data-juicer's environment; writes `result.json`."""
    from data_juicer.config import init_configs
    from data_juicer.core.executor import DefaultExecutor

    recipe = {
        "project_name": "peer",
        "dataset_path": str(folder / "input" / "rows.jsonl"),
        "export_path": str(folder / "output" / "rows.jsonl"),
        "np": 1,
        "use_cache": False,
        "skip_op_error": False,
        "open_tracer": False,
        "open_monitor": False,
        "op_fusion": variant == "fused",
        "process": VARIANTS[variant],
    }
    config = folder / "recipe.yaml"
    config.write_text(json.dumps(recipe))
    executor = DefaultExecutor(init_configs(["--config", str(config)]))
    dataset = executor.dataset_builder.load_dataset()
    _timed(executor, dataset.select(range(1)))
    fixed, fixed_cpu, _ = _timed(executor, dataset.select(range(1)))
    wall, cpu, kept = _timed(executor, dataset)
    result = {
        "rows": len(dataset),
        "kept": kept,
        "wall_s": round(wall, 3),
        "cpu_s": round(cpu, 3),
        "fixed_s": round(fixed, 3),
        "pairs_per_s": round(len(dataset) / (wall - fixed), 1),
        "pairs_per_cpu_s": round(len(dataset) / (cpu - fixed_cpu), 1),
    }
    (folder / "result.json").write_text(json.dumps(result))


def _timed(executor: Any, dataset: Any) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds (with children) and rows kept of one `process` over fresh operators."""
    from data_juicer.ops import load_ops
    from data_juicer.ops.op_fusion import fuse_operators

    operators = load_ops(executor.cfg.process)
    if executor.cfg.op_fusion:
        operators = fuse_operators(operators)
        operators[-1].batch_size = FUSED_BATCH
    for operator in operators:
        operator.auto_op_parallelism, operator.num_proc = False, None
    wall, cpu = time.perf_counter(), _cpu_seconds()
    kept = dataset.process(operators, open_monitor=False)
    return time.perf_counter() - wall, _cpu_seconds() - cpu, len(kept)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    """Command line; `--worker` is how `run` starts the measured process."""
    parser = argparse.ArgumentParser(description="Time py-data-juicer on WebDataset tars, one core.")
    parser.add_argument("tars", type=Path, nargs="*")
    parser.add_argument("--variant", choices=VARIANTS, default="fused")
    parser.add_argument("--data", type=Path, default=Path(".data/benchmarks"), help="cache of downloads")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _work(options.worker, options.variant)
    else:
        print(json.dumps({"variant": options.variant} | run(options.tars, options.variant, options.data, options.core)))


if __name__ == "__main__":
    main()
