"""Inputs that the tests build: pictures, tars and tables, small and the same in every run."""

import io
import tarfile
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image


def picture(width: int = 40, height: int = 30, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Noise, so that files are big enough to be cut and no two seeds are alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    return Image.fromarray(noise, "RGBA" if mode in ("RGBA", "LA", "PA") else None).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file of this kind."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@lru_cache(maxsize=256)
def jpeg(seed: int = 0, width: int = 40, height: int = 30) -> bytes:
    """A small JPEG, another one for every seed."""
    return encoded(picture(width, height, seed=seed), "jpeg", quality=60)


def tar_bytes(members: Iterable[tuple[str, bytes]], layout: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of regular files in this order, written by the standard library."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=layout) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()
