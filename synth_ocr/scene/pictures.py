"""Photographs behind documents, and paper."""

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageOps

from synth_ocr.page import Pixels

LONGEST = 2048
GRAINS = (2, 8, 48)  # pixels per grain of the made paper


@lru_cache(maxsize=24)
def photograph(path: str) -> Pixels:
    """A file as RGB, upright after EXIF, at most LONGEST pixels long; palette, CMYK, 16 bit and alpha are resolved."""
    with Image.open(path) as file:
        file.draft("RGB", (LONGEST, LONGEST))
        image: Image.Image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
        if "A" in image.mode or "transparency" in image.info:
            whole = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
        image = image.convert("RGB")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.BILINEAR)
    pixels = np.array(image)
    pixels.flags.writeable = False
    return pixels


def background(paths: list[str], width: int, height: int, sigma: float, rng: np.random.Generator) -> Pixels:
    """A photograph scaled to cover the canvas, blurred by ``sigma`` pixels; a plain colour where there are none."""
    if not paths:
        return np.full((height, width, 3), rng.integers(60, 230, 3), np.uint8)
    picture = photograph(paths[int(rng.integers(len(paths)))])
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    # a wide blur is made on fewer pixels: the result is smooth there
    factor = 4 if sigma > 4 else 2 if sigma > 2 else 1
    small = cv2.resize(picture, (-(-size[0] // factor), -(-size[1] // factor)), interpolation=cv2.INTER_AREA)
    if sigma > 0.1:
        small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    whole = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR) if factor > 1 else small
    left = int(rng.integers(whole.shape[1] - width + 1))
    top = int(rng.integers(whole.shape[0] - height + 1))
    return np.asarray(whole[top : top + height, left : left + width], np.uint8)


def paper(paths: list[str], width: int, height: int, alpha: float, rng: np.random.Generator) -> Pixels:
    """White with a grey texture over it: a crop of a picture, or grain made here."""
    if paths:
        picture = photograph(paths[int(rng.integers(len(paths)))])
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        high, wide = min(height, grey.shape[0]), min(width, grey.shape[1])
        left, top = int(rng.integers(grey.shape[1] - wide + 1)), int(rng.integers(grey.shape[0] - high + 1))
        texture = cv2.resize(grey[top : top + high, left : left + wide], (width, height))
    else:
        texture = _grain(width, height, rng)
    mixed = cv2.addWeighted(np.full_like(texture, 255), 1 - alpha, texture, alpha, 0)
    return np.asarray(cv2.merge([mixed, mixed, mixed]), np.uint8)


def _grain(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """Noise of several sizes, mid grey."""
    texture = np.full((height, width), 150, np.float32)
    for grain in GRAINS:
        small = rng.standard_normal((height // grain + 2, width // grain + 2), dtype=np.float32) * 22
        texture += cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(texture, 0, 255).astype(np.uint8)
