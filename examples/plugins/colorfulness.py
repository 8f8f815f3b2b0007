"""A scorer: how colorful a picture is, from its pixels; no model, no weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import qvl


class Colorfulness(qvl.Scorer):
    """``colorfulness``: 0 for grey pictures, about 15 for slightly and 109 for extremely colorful ones.

    Hasler and Süsstrunk, Measuring colorfulness in natural images, 2003.
    """

    writes = {"colorfulness": "float32"}  # noqa: RUF012
    side = 128

    def prepare(self, image: npt.NDArray[np.uint8]) -> float:
        red, green, blue = np.moveaxis(image.astype(np.float64), 2, 0)
        opponents = np.stack([red - green, (red + green) / 2 - blue])
        deviation, mean = (np.hypot(*part) for part in (opponents.std(axis=(1, 2)), opponents.mean(axis=(1, 2))))
        return float(deviation + 0.3 * mean)

    def score(self, model: None, images: Sequence[Any], captions: Sequence[str]) -> npt.NDArray[np.float64]:
        return np.round(np.array(images, np.float64), 2)
