"""How far our decode and resize move CLIP scores from the reference: PIL, whole, and open_clip's own transform.

Claim: |difference| below 0.005 at the 99th percentile, and few verdicts that flip at a threshold.

    python benchmarks/clip_drift.py [FOLDER] [--pictures 80] [--longest 600 1000 1400] [--margins 448 256 128]

FOLDER holds JPEGs (default: the paintings of the corpus; `benchmarks/photo_tars.py` fetches photographs). Those with at
least ``longest`` pixels are made so large (LANCZOS) and saved at quality 85, then each is scored against 40 captions of the
corpus by the small CLIP of the demo (64 pixels). ``margins``: pixels that the shorter side keeps at least when a JPEG is
decoded at a smaller scale; 448 is what the stage does.
"""

import argparse
import io
import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

from qvl.pipeline.images.clip import ClipScorer
from qvl.pipeline.images.decode import decode_scaled
from qvl.pipeline.recipe.score import ClipModel

EXAMPLES = Path(__file__).parents[1] / "examples"
MUSEUM = EXAMPLES / "corpus" / "museum"
SMALL = EXAMPLES / "small_clip"
THRESHOLDS = (0.05, 0.2, 0.3, 0.5)
CAPTIONS = 40


def pictures(folder: Path, longest: int, most: int) -> list[bytes]:
    """JPEGs of that size from larger ones, spread evenly over the folder."""
    paths = [path for path in sorted(folder.rglob("*.jp*g")) if max(size(path)) >= longest]
    found = []
    for path in paths[:: max(1, len(paths) // most)][:most]:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        scale = longest / max(image.size)
        sides = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        file = io.BytesIO()
        image.resize(sides, Image.Resampling.LANCZOS).save(file, "JPEG", quality=85)
        found.append(file.getvalue())
    return found


def size(path: Path) -> tuple[int, int]:
    """Width and height."""
    with Image.open(path) as image:
        return image.size


def captions() -> list[str]:
    """The first of the corpus."""
    lines = [json.loads(line) for line in (MUSEUM / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["caption"] for line in lines if isinstance(line.get("caption"), str) and line["caption"]][:CAPTIONS]


def reference(scorer: ClipScorer, files: list[bytes]) -> list[np.ndarray]:
    """Squares by open_clip's own transform."""
    side = scorer.preprocessing.size
    transform = open_clip.image_transform(side, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    return [(transform(Image.open(io.BytesIO(data))) * 255).round().byte().numpy() for data in files]


def measured(scorer: ClipScorer, files: list[bytes], margins: list[int]) -> dict[str, dict[str, object]]:
    """Differences by margin."""
    told = scorer.texts([scorer.tokens(caption) for caption in captions()])
    expected = (scorer.images(reference(scorer, files)) @ told.T).numpy()
    found: dict[str, dict[str, object]] = {}
    for margin in margins:
        squares = [scorer.prepare(*decode_scaled(data, margin)) for data in files]
        scores = (scorer.images(squares) @ told.T).numpy()
        away = np.abs(scores - expected)
        flips = {str(at): round(float(((scores >= at) != (expected >= at)).mean()), 5) for at in THRESHOLDS}
        numbers = {"median": np.median(away), "p99": np.quantile(away, 0.99), "largest": away.max()}
        found[str(margin)] = {**{name: round(float(value), 4) for name, value in numbers.items()}, "flips": flips}
    found["scores"] = {"deviation": round(float(expected.std()), 3)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=MUSEUM / "images")
    parser.add_argument("--pictures", type=int, default=80)
    parser.add_argument("--longest", type=int, nargs="+", default=[600, 1000, 1400])
    parser.add_argument("--margins", type=int, nargs="+", default=[448, 256, 128])
    options = parser.parse_args()
    torch.set_num_threads(1)
    scorer = ClipScorer.of(ClipModel(model=str(SMALL / "small_clip.json"), pretrained=str(SMALL / "small_clip.pt")))
    for longest in options.longest:
        files = pictures(options.folder, longest, options.pictures)
        if files:
            result = measured(scorer, files, options.margins)
            print(json.dumps({"longest": longest, "pictures": len(files), **result}), flush=True)


if __name__ == "__main__":
    main()
