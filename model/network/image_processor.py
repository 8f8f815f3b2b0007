"""Images to pixels exactly as in the release: RGB, bicubic resize to a square, CLIP's mean and standard deviation.

Needs only Pillow and numpy. This file is copied next to exported weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers.image_processing_base import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

from .errors import ModelError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Picture = Image.Image | np.ndarray[Any, Any] | str | Path


def to_rgb(image: Picture) -> Image.Image:
    """Any image (or a path to one) as 8-bit RGB.

    Grey, palette and CMYK images are converted; transparent pixels are composited on white (which is what a viewer
    shows); 16-bit grey is scaled instead of clipped. Raises ModelError for unreadable files and for float pixels.
    """
    picture = _open(image)
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        grey = np.asarray(picture).astype(np.int64)
        return Image.fromarray((grey // (257 if grey.max() > 255 else 1)).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise ModelError("a float image (mode F) has no defined white level; convert it to 8 bits first")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def _open(image: Picture) -> Image.Image:
    if isinstance(image, Image.Image):
        return image
    if isinstance(image, str | Path):
        try:
            with Image.open(image) as picture:
                picture.load()
                return picture
        except OSError as error:
            raise ModelError(f"{image} cannot be read as an image: {error}") from error
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ModelError(f"an image array must be uint8 [H, W] or [H, W, 3 or 4], not {array.dtype} {array.shape}")
    return Image.fromarray(array)


class QwenVLImageProcessor(BaseImageProcessor):
    """Images -> `pixel_values`, float32 [M, 3, S, S]. Nothing is cropped or padded, so normalised boxes stay valid."""

    def __init__(
        self,
        image_size: int = 448,
        image_mean: Iterable[float] = CLIP_MEAN,
        image_std: Iterable[float] = CLIP_STD,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.image_size = image_size
        self.model_input_names = ["pixel_values"]
        self.image_mean = list(image_mean)
        self.image_std = list(image_std)

    def preprocess(
        self, images: Picture | Iterable[Any], return_tensors: str | None = None, **kwargs: Any
    ) -> BatchFeature:
        """The pixels of one image, or of arbitrarily nested lists of images, in order."""
        pixels = [self.pixels(image) for image in flatten_images(images)]
        data = {"pixel_values": np.stack(pixels)} if return_tensors and pixels else {"pixel_values": pixels}
        return BatchFeature(data=data, tensor_type=return_tensors)

    def pixels(self, image: Picture) -> np.ndarray[Any, np.dtype[np.float32]]:
        """One image as float32 [3, S, S]."""
        square = to_rgb(image).resize((self.image_size, self.image_size), Image.Resampling.BICUBIC)
        unit_SSC = np.asarray(square, dtype=np.float32) / 255
        mean, std = np.asarray(self.image_mean, np.float32), np.asarray(self.image_std, np.float32)
        return np.ascontiguousarray(((unit_SSC - mean) / std).transpose(2, 0, 1))


def flatten_images(images: Picture | Iterable[Any]) -> list[Picture]:
    """The images in arbitrarily nested lists and tuples, in order."""
    if isinstance(images, list | tuple):
        return [picture for inner in images if inner is not None for picture in flatten_images(inner)]
    return [images]  # type: ignore[list-item]
