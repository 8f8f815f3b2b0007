"""Speed of each part of the model: forward and training step against its FLOP count and against a peer.

    python benchmarks/model.py                    CPU: the `small` preset against transformers models of its size
    python benchmarks/model.py --device cuda      GPU: the `qwen-vl` preset in bfloat16, share of the matrix peak

Needs torch and transformers only. The peer of a part does the same work on the same shapes: CLIP's ViT, a Q-Former-like
torch attention, Qwen2ForCausalLM with its own loss, LLaVA for the whole. Runs alternate between the two; the ratio is
the median over pairs, so that other users of the machine disturb both alike. Prints Markdown.
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import sys
import time
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import transformers
from model_cases import Case, Run, cases

from qvl.model.network.presets import preset

PEAK_BF16 = {"H200": 989.5e12, "H100": 989.5e12, "A100": 312e12}


def timed(run: Run, device: str) -> float:
    """Seconds of one run: by the clock on a GPU, of this process on a CPU (one thread; others use the machine too)."""
    if device == "cpu":
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(ours: Run, peer: Run | None, device: str, seconds: float) -> tuple[float, float | None]:
    """Median seconds of ours, and the median over pairs of peer time / our time."""
    for run in (ours, peer):
        if run is not None:
            run()
    times, ratios, end = [], [], time.perf_counter() + seconds
    while len(times) < 5 or (time.perf_counter() < end and len(times) < 200):
        first, other = timed(ours, device), timed(peer, device) if peer else None
        times.append(first)
        if other is not None:
            ratios.append(other / first)
    return statistics.median(times), statistics.median(ratios) if ratios else None


def matrix_rate(device: str, dtype: torch.dtype, seconds: float = 1.0) -> float:
    """FLOP per second of a large square product: what the machine gives today."""
    size = 8192 if device == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    took, _ = measure(lambda: torch.mm(a, b), None, device, seconds)
    return 2 * size**3 / took


def report(found: list[Case], device: str, dtype: torch.dtype, seconds: float) -> None:
    """The Markdown table."""
    rate = matrix_rate(device, dtype)
    name = (
        torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, {torch.get_num_threads()} thread"
    )
    peak = next((value for key, value in PEAK_BF16.items() if key in name), None)
    print(f"\n## {date.today()}: {name}, {str(dtype).removeprefix('torch.')}")
    print(
        f"\ntorch {torch.__version__}, transformers {transformers.__version__}. A large matrix product here: ", end=""
    )
    print(f"{rate / 1e12:.3g} TFLOP/s" + (f" ({rate / peak:.0%} of the published peak)." if peak else "."))
    print(
        "\n| part | step | ms | GFLOP | of the matrix product |" + (" of the peak |" if peak else " peer time / ours |")
    )
    print("|---|---|---:|---:|---:|---:|")
    for case in found:
        for train in (False, True):
            ours, peer = case.ours(train), case.peer(train) if case.peer else None
            took, ratio = measure(ours, peer, device, seconds)
            flop = case.forward_flop * (3 if train else 1)
            last = f"{flop / took / peak:.0%}" if peak else (f"{ratio:.2f}x" if ratio else "")
            step = "train" if train else "forward"
            share = f"{flop / took / rate:.0%}"
            print(f"| {case.name} | {step} | {took * 1e3:.1f} | {flop / 1e9:.1f} | {share} | {last} |", flush=True)
            del ours, peer
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--preset", help="qwen-vl on a GPU, small on a CPU if not given")
    parser.add_argument("--seconds", type=float, default=8.0, help="per measurement")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.device == "cuda":
        dtype, sizes = torch.bfloat16, {"images": 64, "rows": 4, "length": 2048, "text": 254, "side": 224}
    else:
        torch.set_num_threads(1)
        dtype, sizes = torch.float32, {"images": 4, "rows": 1, "length": 512, "text": 64, "side": 224}
    config = preset(arguments.preset or ("qwen-vl" if arguments.device == "cuda" else "small"))
    report(cases(config, arguments.device, dtype, sizes), arguments.device, dtype, arguments.seconds)


if __name__ == "__main__":
    main()
