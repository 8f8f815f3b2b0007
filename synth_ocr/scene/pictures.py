"""Photographs behind documents, less the benchmarks' ones, and paper."""

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import PurePosixPath

import cv2
import numpy as np
import xxhash
from PIL import Image, ImageOps

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.page import Pixels

LONGEST = 2048
TRIES = 100  # excluded backgrounds in a row
COCO_NUMBER = re.compile(r"(\d{12})\.\w+$")  # 000000581857.jpg, COCO_train2014_000000581857.jpg
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


class Backgrounds:
    """Photographs by path. One that the exclusion list holds (by its COCO number, its bytes or its look) is never drawn,
    nor is one on which ``legible`` finds a word.

    A photograph is judged when it is first drawn: of 240,000 only those that are used are read.
    """

    def __init__(
        self, paths: list[str], exclusion: Exclusion | None = None, legible: Callable[[str], str] | None = None
    ) -> None:
        self.paths, self.exclusion, self.legible = paths, exclusion, legible
        self._hits: dict[str, str] = {}

    def pick(self, rng: np.random.Generator) -> tuple[str | None, list[str]]:
        """A path (None where there are none), and the hits that were passed over. Raises DataError after TRIES hits."""
        passed: list[str] = []
        while self.paths:
            path = self.paths[int(rng.integers(len(self.paths)))]
            hit = self.hit(path)
            if not hit:
                return path, passed
            passed.append(hit)
            if len(passed) == TRIES:
                raise DataError(
                    f"{TRIES} backgrounds in a row are on the exclusion list or hold text: {', '.join(passed[:3])}"
                )
        return None, passed

    def hit(self, path: str) -> str:
        """Which file, why (on the list, or text) and what (benchmarks, or the word); empty for one that may be used."""
        if path not in self._hits:
            found = self._judge(path, self.exclusion) if self.exclusion is not None else ""
            word = self.legible(path) if self.legible is not None and not found else ""
            self._hits[path] = f"{PurePosixPath(path).name} text {word}" if word else found
        return self._hits[path]

    @staticmethod
    def _judge(path: str, exclusion: Exclusion) -> str:
        name = PurePosixPath(path).name
        number = COCO_NUMBER.search(name)
        found = exclusion.by_id([f"coco:{int(number[1])}"]) if number else None
        if found is None:
            data = Storage().read(path)
            found = exclusion.by_image(data, xxhash.xxh3_128_hexdigest(data))
        return f"{name} {found.verdict} {'+'.join(found.benchmarks)}" if found else ""


def background(path: str | None, width: int, height: int, sigma: float, rng: np.random.Generator) -> Pixels:
    """A photograph scaled to cover the canvas, blurred by ``sigma`` pixels; a plain colour where there is none."""
    if path is None:
        return np.full((height, width, 3), rng.integers(60, 230, 3), np.uint8)
    picture = photograph(path)
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
