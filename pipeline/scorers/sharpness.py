"""How sharp and how empty a picture is, from its grey levels; no weights. ``plugins: [qvl.scorers.sharpness]``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from qvl.pipeline.plugins.bases import Scorer

SIDE = 256  # pixels of the shorter side at which pictures are compared, so that their resolution has no influence
BLOCK = 8
FLAT = 2.0  # a block whose grey levels deviate by less is flat


class Sharpness(Scorer):
    """``sharpness``: variance of the Laplacian of the grey levels, 0 for one colour, below about 50 for a blurred photo.

    ``blank``: the share of blocks of 8 x 8 pixels that are flat, 0..1; near 1 for placeholders and empty scans.
    Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.
    """

    writes = {"sharpness": "float32", "blank": "float32"}  # noqa: RUF012 - the base class declares it
    batch = 256

    def prepare(self, image: npt.NDArray[np.uint8]) -> tuple[float, float]:
        grey = grey_levels(image)
        return laplacian_variance(grey), flat_share(grey)

    def score(self, model: None, images: Sequence[Any], captions: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
        sharpness, blank = np.array(images, np.float64).T
        return {"sharpness": sharpness.round(2), "blank": blank.round(4)}


def grey_levels(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The grey levels [height, width] of an RGB image whose shorter side has at most ``SIDE`` pixels."""
    picture = Image.fromarray(image).convert("L")
    shorter = min(picture.size)
    if shorter > SIDE:
        width, height = (max(1, round(side * SIDE / shorter)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


def laplacian_variance(grey: npt.NDArray[np.float32]) -> float:
    """The variance of the Laplacian (4 neighbours) inside of an image; 0 where it has no inside."""
    if min(grey.shape) < 3:
        return 0.0
    centre = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * centre
    return float(laplacian.var(dtype=np.float64))


def flat_share(grey: npt.NDArray[np.float32]) -> float:
    """The share of flat blocks; pixels that do not fill a block are left out, unless there is no whole block."""
    height, width = (side // BLOCK * BLOCK for side in grey.shape)
    if not height or not width:
        return float(grey.std(dtype=np.float64) < FLAT)
    blocks = grey[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return float((blocks.std(axis=(1, 3), dtype=np.float64) < FLAT).mean())
