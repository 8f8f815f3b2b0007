"""Train the small CLIP of the demo: `examples/small_clip/`, a stand-in where no published weights can be had.

    python examples/train_small_clip.py [--output FOLDER] [--downloads FOLDER] [--epochs 14]

It learns from the public-domain, CC0 and MIT packages that the shipped corpus was drawn from, WITHOUT the pictures of the
corpus itself: none of its files and nothing whose perceptual hash is near one of them. So the corpus is held out, and the
last line measures on it how often a true caption scores above that of another image. Needs what ``make_corpus.py`` needs and
the extra ``clip``; about half an hour on two cores. Writes small_clip.json (architecture), small_clip.pt and training.json.
"""

import argparse
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from corpus_packages import Archives
from corpus_pairs import Pair, emoji, openclipart, paintings, wallpapers
from PIL import Image
from torch.nn import functional

from qvl.pipeline.duplicates.near import near_any
from qvl.pipeline.images.clip import encode_text
from qvl.pipeline.images.decode import PixelError, decode
from qvl.pipeline.images.perceptual_hash import hash_image
from qvl.pipeline.recipe.recipe import load_recipe
from qvl.pipeline.recipe.source import reader
from qvl.pipeline.storage.reader import Storage

EXAMPLES = Path(__file__).parent
NAME = "small_clip"
SIDE, STORED = 64, 80
CONFIG = {
    "embed_dim": 96,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
    "text_cfg": {"context_length": 48, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
NEAR = 6  # bits from a picture of the corpus at which a training picture is left out
SETS: tuple[Callable[[Archives], Iterable[Pair]], ...] = (openclipart, emoji, paintings, wallpapers)

Pictures = npt.NDArray[np.uint8]


def square(image: Image.Image) -> Pictures:
    """The middle of a picture [80, 80, 3]."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((STORED, STORED), Image.Resampling.BICUBIC, box=box), np.uint8)


def looked_at(data: bytes) -> tuple[Pictures, int] | None:
    """Square and perceptual hash of a file; None where it cannot be decoded."""
    try:
        image = decode(data)
    except (PixelError, Image.DecompressionBombError):
        return None
    return square(image), hash_image(image)[0]


def corpus(recipe: Path = EXAMPLES / "demo.yaml") -> Iterator[tuple[str, bytes]]:
    """Caption and file of every readable row of the shipped corpus."""
    storage = Storage()
    for source in load_recipe(recipe).sources:
        for unit in reader(source).units(storage):
            for batch in reader(source).read(unit, storage):
                for row in batch:
                    text = bytes(row.caption).decode("utf-8", "replace").strip()
                    if row.image is not None and row.fault is None and 6 <= len(text) <= 1_000:
                        yield text, bytes(row.image)


def training_pairs(archives: Archives) -> tuple[Pictures, list[str], dict[str, int]]:
    """Squares and captions of the packages without what is in the corpus or near it, and how many of each kind."""
    held = [found for _, data in corpus() if (found := looked_at(data)) is not None]
    hashes = np.array([value for _, value in held], np.uint64)
    pairs = [pair for pairs in SETS for pair in pairs(archives) if pair.path.stat().st_size < 400_000]

    def look(pair: Pair) -> tuple[Pictures, int] | None:
        with Image.open(pair.path) as image:
            if max(image.size) > 2_000:
                return None
        return looked_at(pair.path.read_bytes())

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        seen = [(pair.caption, found) for pair, found in zip(pairs, threads.map(look, pairs), strict=True) if found]
    near = near_any(np.array([value for _, (_, value) in seen], np.uint64), hashes, 4) >= 0
    far = [np.bitwise_count(hashes ^ np.uint64(value)).min() > NEAR for _, (_, value) in seen]
    kept = [entry for entry, close, is_far in zip(seen, near, far, strict=True) if not close and is_far]
    counts = {"pictures": len(seen), "left_out_near_the_corpus": len(seen) - len(kept), "trained_on": len(kept)}
    return np.stack([picture for _, (picture, _) in kept]), [caption for caption, _ in kept], counts


def normalised(pictures: Pictures) -> torch.Tensor:
    """As the model wants them [n, 3, 64, 64]."""
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    return (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - mean) / std


def cropped(pictures: Pictures, random: np.random.Generator) -> Pictures:
    """Random parts, 64 pixels square, half of them mirrored."""
    result = np.empty((len(pictures), SIDE, SIDE, 3), np.uint8)
    for i, picture in enumerate(pictures):
        size = int(random.integers(58, STORED + 1))
        left, top = random.integers(0, STORED - size + 1, 2).tolist()
        box = (left, top, left + size, top + size)
        crop = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))
        result[i] = crop[:, ::-1] if random.random() < 0.5 else crop
    return result


def train(pictures: Pictures, captions: list[str], epochs: int, batch: int, seed: int, threads: int) -> torch.nn.Module:
    """The trained model, in evaluation mode."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = open_clip.create_model(NAME, pretrained=None)
    tokens = open_clip.get_tokenizer(NAME)(captions)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    steps = len(pictures) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * steps)
    start = time.perf_counter()
    for epoch in range(epochs):
        order = random.permutation(len(pictures))
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            seen = model.encode_image(normalised(cropped(pictures[chosen], random)), normalize=True)
            told = functional.normalize(encode_text(model, tokens[chosen]), dim=-1)
            logits = model.logit_scale.exp().clamp(max=50) * seen @ told.T
            labels = torch.arange(len(chosen))
            loss = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch:3d}  loss {loss.item():.3f}  {time.perf_counter() - start:.0f} s", flush=True)
    with torch.no_grad():  # tokens that no caption had say nothing
        unseen = torch.ones(len(model.token_embedding.weight), dtype=torch.bool)
        unseen[tokens.unique()] = False
        model.token_embedding.weight[unseen] = 0
    return model.eval()


def true_above_stranger(model: torch.nn.Module) -> dict[str, float]:
    """On the held-out corpus: how often the true caption of a picture scores above one drawn from another row (AUC)."""
    rows = [(caption, found[0]) for caption, data in corpus() if (found := looked_at(data)) is not None]
    pictures = np.stack(
        [np.asarray(Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for _, p in rows]
    )
    with torch.inference_mode():
        seen = model.encode_image(normalised(pictures), normalize=True)
        told = functional.normalize(encode_text(model, open_clip.get_tokenizer(NAME)([c for c, _ in rows])), dim=-1)
    cosines = (seen @ told.T).numpy()
    true = np.diag(cosines)
    other = cosines[~np.eye(len(rows), dtype=bool)]
    auc = np.searchsorted(np.sort(other), true).mean() / len(other)
    return {"rows": len(rows), "auc": round(float(auc), 4), "true": float(true.mean()), "other": float(other.mean())}


def save(model: torch.nn.Module, path: Path) -> None:
    """Half-precision weights, compressed: most rows of the token table are zero."""
    halves = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(halves, buffer)
    with zipfile.ZipFile(buffer) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(zipfile.ZipInfo(name), plain.read(name), zipfile.ZIP_DEFLATED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=EXAMPLES / NAME)
    parser.add_argument("--downloads", type=Path, default=Path(tempfile.gettempdir()) / "qvl-corpus-packages")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    config = options.output / f"{NAME}.json"
    config.write_text(json.dumps(CONFIG, indent=2) + "\n")
    open_clip.add_model_config(config)
    pictures, captions, counts = training_pairs(Archives(options.downloads))
    print(counts, flush=True)
    model = train(pictures, captions, options.epochs, options.batch, options.seed, options.threads)
    save(model, options.output / f"{NAME}.pt")
    report = {**counts, "epochs": options.epochs, "seed": options.seed, "held_out": true_above_stranger(model)}
    (options.output / "training.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
