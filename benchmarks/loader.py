"""Samples per second that loaders deliver on two cores, decoded to 224 and to 448, over the same real-size photographs.

    python benchmarks/loader.py [--rows 3000] [--rounds 3] [--sides 224 448] [--json FILE]

Ours (`StepLoader`: planning, tokens, labels and pixels, by random access) against `webdataset` (in this environment),
`megatron-energon` and `mosaicml-streaming`, which get environments of their own: `.venv-energon`
and `.venv-mds`, made here where they are absent (or by hand: `python -m venv .venv-energon; .venv-energon/bin/pip install
torch megatron-energon==7.4.1`, and the like). The tars are our shards of the pictures of `benchmarks/photo_tars.py`
(longest side 512, JPEG quality 85); webdataset and Energon read those very tars, MDS the same bytes converted. Two workers
each, one thread each. Loaders take turns; per loader and side the best of the rounds in samples per CPU second (the machine
may be shared), workers and parent together. Aim: twice the best peer. `webdataset-turbo` is not a peer: it has our
decode and resize, and shows what the rest of a loader costs.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import loader_clock
import photo_tars

from qvl.pipeline.markup.turns import caption_turns
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord

ROOT = Path(__file__).parents[1]

DATA = ROOT / ".data" / "benchmarks"
VENVS = {
    "energon": (ROOT / ".venv-energon", "megatron-energon==7.4.1"),
    "mds": (ROOT / ".venv-mds", "mosaicml-streaming==0.13.0"),
}
BATCH = 32
SHARDS = 6
LOADERS = ("ours", "webdataset", "webdataset-turbo", "energon", "mds")
PEERS = ("webdataset", "energon", "mds")


def samples_of(tar: Path) -> Iterator[Sample]:
    """The photographs of a tar as caption samples of ours, bytes kept."""
    held: dict[str, bytes] = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            file = archive.extractfile(member)
            held[member.name] = b"" if file is None else file.read()
    for row, name in enumerate(sorted(name for name in held if name.endswith(".jpg"))):
        key = name.removesuffix(".jpg")
        record = json.loads(held[f"{key}.json"])
        language = "en" if record["caption"].isascii() else "zh"
        turns = caption_turns(record["caption"], language)
        sample = SampleRecord(key, "photos", "caption", language, turns, Origin(tar.name, row, key))
        yield Sample(sample, (SampleImage("jpg", held[name], record["width"], record["height"]),))


def prepare(rows: int) -> Path:
    """Our shards of the photographs, made once; returns the folder with `shards`, `energon` and `mds`."""
    folder = DATA / f"loader_{rows}"
    if not (folder / "shards" / "dataset.json").exists():
        tars = photo_tars.make(DATA / f"photos_{rows}_{SHARDS}", rows, -(-rows // SHARDS), DATA)
        plans = [ShardPlan(f"photos-{at:06d}", 0, 0, ()) for at in range(len(tars))]
        counts = [
            commit_shard(folder, plan.name, samples_of(tar), "photos").samples
            for plan, tar in zip(plans, tars, strict=True)
        ]
        ends = [sum(counts[: at + 1]) for at in range(len(counts))]
        plans = [ShardPlan(p.name, e - c, e, ()) for p, e, c in zip(plans, ends, counts, strict=True)]
        finish("photos", folder, plans, rows, {"made": "photos"})
    return folder


def prepare_peers(folder: Path, peers: list[str]) -> None:
    """Environments, Energon's index next to hard links of the tars, and the shards of MDS."""
    for name in set(peers) & set(VENVS):
        place, package = VENVS[name]
        if not (place / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            torch = "torch==" + subprocess.check_output([sys.executable, "-c", _TORCH], text=True).strip()
            subprocess.run([str(place / "bin" / "pip"), "install", "-q", torch, package], check=True)
            if name == "mds":  # its torchvision may be of another build than torch
                subprocess.run([str(place / "bin" / "python"), ROOT / "scripts" / "patch_torchvision.py"], check=True)
        target = folder / name
        if target.exists():
            continue
        part = folder / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for tar in sorted((folder / "shards").glob("*.tar")):
            os.link(tar, part / tar.name)
        if name == "energon":
            command = [place / "bin" / "energon", "prepare", part, "--non-interactive", "--split-ratio", "1,0,0"]
            command += ["--sample-type", "CrudeWebdataset", "--no-progress", "--num-workers", "2"]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
            part.rename(target)
        else:
            command = [place / "bin" / "python", ROOT / "benchmarks" / "loader_peers.py", "mds-convert", part]
            subprocess.run(list(map(str, command)), check=True)
            (part / "mds").rename(target)
            shutil.rmtree(part)


_TORCH = "import torch; print(torch.__version__)"


def our_batches(folder: Path, side: int, workers: int) -> Iterator[int]:
    """StepLoader over a stage like the paper's first: captions, unpacked, in micro-batches."""
    from qvl.model.text.tokenizer import build_tokenizer
    from qvl.pipeline.shards.reader import open_dataset
    from qvl.pipeline.shards.sample_bytes import ShardBytes
    from qvl.training.data.encode import Encoder, Rule
    from qvl.training.data.loader import Assembler, StepLoader
    from qvl.training.data.parts import mix_parts
    from qvl.training.data.schedule import Schedule
    from qvl.training.data.steps import STREAM_START
    from qvl.training.recipe import StageSpec

    content = {
        "stage": "pretrain", "steps": 1000, "resolution": side, "length": 512,
        "mix": [{"dataset": "photos", "weight": 1}], "batch": {"size": BATCH * 8, "micro": BATCH},
        "optimizer": {"peak": 2e-4, "minimum": 1e-6, "warmup": 1},
    }  # fmt: skip
    stage = StageSpec.model_validate(content)
    schedule = Schedule(stage, mix_parts(stage, {"photos": open_dataset(str(folder))}), seed=0)
    encoder = Encoder(build_tokenizer(ROOT / "examples" / "tokenizer.json"), Rule(stage.length))
    assembler = Assembler(encoder, side, False, ShardBytes())
    for loaded in StepLoader(schedule, assembler, STREAM_START, 0, 1, workers):
        for batch in loaded.batches:
            assert batch.pixels is not None and not batch.damaged
            yield len(batch.pixels)


def run(loader: str, folder: Path, side: int, warm: int, count: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    where = {"ours": folder / "shards", "webdataset": folder / "shards", "webdataset-turbo": folder / "shards"}.get(
        loader, folder / loader
    )
    python = VENVS[loader][0] / "bin" / "python" if loader in VENVS else Path(sys.executable)
    script = Path(__file__) if loader == "ours" else ROOT / "benchmarks" / "loader_peers.py"
    command = [python, script, *([] if loader == "ours" else [loader]), where, "--side", side, "--warm", warm]
    command += ["--count", count] + (["--measure"] if loader == "ours" else [])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    out, error = process.communicate(timeout=300)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # workers of an endless loader
    if process.returncode:
        sys.exit(f"{loader} ended with {process.returncode}: {' '.join(map(str, command))}\n{error[-2000:]}")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


def report(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """A Markdown table, ratios against the best peer."""
    lines = [
        "| side | loader | samples/s | samples per CPU second | against the best peer (CPU) |",
        "|---|---|---|---|---|",
    ]
    for side, found in results.items():
        best = max((row["per_cpu_s"] for name, row in found.items() if name in PEERS), default=float("nan"))
        for name, row in found.items():
            ratio = f"{row['per_cpu_s'] / best:.2f}x"
            lines.append(f"| {side} | {name} | {row['per_s']:.0f} | {row['per_cpu_s']:.0f} | {ratio} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="(internal) shards to measure ours on")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, default=224, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="+", default=[224, 448])
    parser.add_argument("--loaders", nargs="+", default=list(LOADERS), choices=LOADERS)
    parser.add_argument("--warm", type=int, default=320)
    parser.add_argument("--count", type=int, default=1_920)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.measure:
        loader_clock.measure("ours", our_batches(options.folder, options.side, 2), options.warm, options.count)
        return
    folder = prepare(options.rows)
    prepare_peers(folder, options.loaders)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for number in range(options.rounds):
        for side in options.sides:
            for loader in options.loaders:
                found = run(loader, folder, side, options.warm, options.count)
                print(f"round {number + 1}, side {side}: {json.dumps(found)}", file=sys.stderr, flush=True)
                kept = results.setdefault(str(side), {}).setdefault(loader, {"per_s": 0.0, "per_cpu_s": 0.0})
                for name in kept:
                    kept[name] = max(kept[name], found[name])
    print(report(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
