"""Photographs behind documents, without those of benchmarks, and the paper of the documents."""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePosixPath

import cv2
import numpy as np
import xxhash
from cachetools import cachedmethod
from PIL import Image, ImageOps

from qvl.pipeline.base.addresses import public_address
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.page import Pixels

LONGEST = 2048
TRIES = 100  # excluded backgrounds in a row before giving up
COCO_NUMBER = re.compile(r"(\d{12})\.\w+$")  # 000000581857.jpg, COCO_train2014_000000581857.jpg
GRAINS = (2, 8, 48)  # pixels per grain of generated paper


@lru_cache(maxsize=24)
def read_photograph(path: str) -> Pixels:
    """A file of any mode (palette, CMYK, 16 bit, alpha) as RGB, turned by its EXIF orientation, at most LONGEST pixels."""
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


class Backgrounds:
    """The photographs that may be drawn behind documents.

    A photograph on the exclusion list (by its COCO number, its bytes or its perceptual hash) is never drawn, nor is one
    in which ``find_text`` finds a word. Each is judged when it is first picked: of 240,000 only those in use are read.
    """

    def __init__(
        self, paths: list[str], exclusion: Exclusion | None = None, find_text: Callable[[str], str] | None = None
    ) -> None:
        self.paths, self.exclusion, self.find_text = paths, exclusion, find_text
        self._hits: dict[str, str] = {}

    def pick(self, rng: np.random.Generator) -> tuple[str | None, list[str]]:
        """A path (None without photographs), and the hits of those that were rejected. Raises DataError after TRIES hits."""
        rejected: list[str] = []
        while self.paths:
            path = self.paths[int(rng.integers(len(self.paths)))]
            hit = self.hit(path)
            if not hit:
                return path, rejected
            rejected.append(hit)
            if len(rejected) == TRIES:
                raise DataError(
                    f"{TRIES} backgrounds in a row are on the exclusion list or contain text: {', '.join(rejected[:3])}"
                )
        return None, rejected

    @cachedmethod(lambda self: self._hits)
    def hit(self, path: str) -> str:
        """The file's name, why it is rejected (a verdict of the list, or ``text``) and the benchmarks or the word.

        Empty for a photograph that may be used.
        """
        found = self._listed(path, self.exclusion) if self.exclusion is not None else ""
        word = self.find_text(path) if self.find_text is not None and not found else ""
        return f"{PurePosixPath(public_address(path)).name} text {word}" if word else found

    @staticmethod
    def _listed(path: str, exclusion: Exclusion) -> str:
        name = PurePosixPath(public_address(path)).name
        number = COCO_NUMBER.search(name)
        found = exclusion.by_id([f"coco:{int(number[1])}"]) if number else None
        if found is None:
            data = Storage().read(path)
            found = exclusion.by_image(data, xxhash.xxh3_128_hexdigest(data))
        return f"{name} {found.verdict} {'+'.join(found.benchmarks)}" if found else ""


def background(path: str | None, width: int, height: int, sigma: float, rng: np.random.Generator) -> Pixels:
    """A photograph scaled to cover the canvas and blurred by ``sigma`` pixels; a plain colour without a photograph."""
    if path is None:
        return np.full((height, width, 3), rng.integers(60, 230, 3), np.uint8)
    picture = read_photograph(path)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    # a strong blur is computed on fewer pixels: its result is smooth anyway
    factor = 4 if sigma > 4 else 2 if sigma > 2 else 1
    small = cv2.resize(picture, (-(-size[0] // factor), -(-size[1] // factor)), interpolation=cv2.INTER_AREA)
    if sigma > 0.1:
        small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    whole = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR) if factor > 1 else small
    left = int(rng.integers(whole.shape[1] - width + 1))
    top = int(rng.integers(whole.shape[0] - height + 1))
    return np.asarray(whole[top : top + height, left : left + width], np.uint8)


def paper(paths: list[str], width: int, height: int, alpha: float, rng: np.random.Generator) -> Pixels:
    """White paper under a grey texture of weight ``alpha``: a crop of a picture, or generated grain."""
    if paths:
        picture = read_photograph(paths[int(rng.integers(len(paths)))])
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        high, wide = min(height, grey.shape[0]), min(width, grey.shape[1])
        left, top = int(rng.integers(grey.shape[1] - wide + 1)), int(rng.integers(grey.shape[0] - high + 1))
        texture = cv2.resize(grey[top : top + high, left : left + wide], (width, height))
    else:
        texture = _grain(width, height, rng)
    mixed = cv2.addWeighted(np.full_like(texture, 255), 1 - alpha, texture, alpha, 0)
    return np.asarray(cv2.merge([mixed, mixed, mixed]), np.uint8)


def _grain(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """Mid-grey noise of several grain sizes."""
    texture = np.full((height, width), 150, np.float32)
    for grain in GRAINS:
        small = rng.standard_normal((height // grain + 2, width // grain + 2), dtype=np.float32) * 22
        texture += cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(texture, 0, 255).astype(np.uint8)
