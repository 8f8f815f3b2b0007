"""Train a small CLIP on the shipped corpus, in two minutes on a CPU: a stand-in where no published weights can be had.

    python examples/train_small_clip.py --output out/small_clip [--steps 400]

It learns these pairs by heart and knows nothing else. What it is good for: to run stage score from end to end with a model
whose scores mean something, true captions above shuffled ones. Writes small_clip.json (architecture) and small_clip.pt.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from torch.nn import functional

from pipeline.clip_model import encode_text
from pipeline.decode import PixelError, decode
from pipeline.recipe import load_recipe, reader
from pipeline.storage import Storage

CONFIG = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": 4, "width": 128, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3},
}
SIDE = 64
EXAMPLES = Path(__file__).parent


def pairs(recipe: Path = EXAMPLES / "demo.yaml") -> tuple[list[Image.Image], list[str]]:
    """Every picture of the corpus that can be decoded, 80 pixels square, with its caption."""
    images, captions = [], []
    storage = Storage()
    for source in load_recipe(recipe).sources:
        for unit in reader(source).units(storage):
            for batch in reader(source).read(unit, storage):
                for row in batch:
                    text = bytes(row.caption).decode("utf-8", "replace").strip()
                    if row.image is None or row.fault is not None or len(text) < 6:
                        continue
                    try:
                        image = decode(bytes(row.image))
                    except (PixelError, Image.DecompressionBombError):
                        continue
                    if max(image.size) <= 5_000:
                        images.append(image.resize((80, 80), Image.Resampling.BICUBIC))
                        captions.append(text)
    return images, captions


def batch_of(images: list[Image.Image], chosen: np.ndarray, random: np.random.Generator) -> torch.Tensor:
    """Random crops, as the model wants them [n, 3, 64, 64]."""
    mean, std = (
        np.array(values, np.float32) for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    squares = []
    for place in chosen:
        size = int(random.integers(68, 81))
        left, top = random.integers(0, 80 - size + 1, 2).tolist()
        crop = images[place].resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + size, top + size))
        squares.append((np.asarray(crop, np.float32) / 255 - mean) / std)
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def train(steps: int, batch: int, seed: int) -> torch.nn.Module:
    """The trained model."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    images, captions = pairs()
    model = open_clip.create_model("small_clip", pretrained=None)
    tokens = open_clip.get_tokenizer("small_clip")(captions)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for step in range(steps):
        chosen = random.choice(len(images), min(batch, len(images)), replace=False)
        text = tokens[chosen]
        seen = model.encode_image(batch_of(images, chosen, random), normalize=True)
        told = encode_text(model, text)
        told = functional.normalize(told, dim=-1)
        logits = model.logit_scale.exp() * seen @ told.T
        labels = torch.arange(len(chosen))
        loss = (functional.cross_entropy(logits, labels) + functional.cross_entropy(logits.T, labels)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:4d}  loss {loss.item():.3f}", flush=True)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    config = options.output / "small_clip.json"
    config.write_text(json.dumps(CONFIG, indent=2) + "\n")
    open_clip.add_model_config(config)
    model = train(options.steps, options.batch, options.seed)
    torch.save(model.state_dict(), options.output / "small_clip.pt")
    print(f"{config} and small_clip.pt written")


if __name__ == "__main__":
    main()
