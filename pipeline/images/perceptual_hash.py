"""A 64-bit perceptual hash: the signs of the 64 lowest frequencies of a 32 x 32 grey thumbnail.

After C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), with two changes. A bit
compares its coefficient with a small positive threshold and not with the median: with the median exactly half of the bits
are set, so all distances are even and a radius of 3 would be a radius of 2. The basis is rounded to integers, so sums are
exact and the hash is the same on every processor. No library serves: imagehash uses the median and a floating-point DCT,
and hashes one image at a time.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

HASH_VERSION = 2
SIDE = 32
BITS = 64
SCALE = 4096.0
# coefficients below this share of the mean coefficient count as zero: in a symmetric image they are noise around zero
DEAD_SHARE = 0.05

Hashes = npt.NDArray[np.uint64]


def _basis() -> npt.NDArray[np.float64]:
    """The 64 lowest two-dimensional cosines [64, 1024] without the constant one, rounded to integers."""
    k = np.arange(SIDE)
    waves = np.cos(np.pi * (2 * k[None, :] + 1) * k[:, None] / (2 * SIDE))
    pairs = sorted(((u, v) for u in range(12) for v in range(12) if u + v), key=lambda pair: (sum(pair), pair[0]))
    rows = [np.outer(waves[u], waves[v]).ravel() * (1 if u and v else 2**-0.5) for u, v in pairs[:BITS]]
    return np.round(np.array(rows) * SCALE)


BASIS = _basis()
WEIGHTS = np.uint64(1) << np.arange(BITS, dtype=np.uint64)


def shrunk(image: Image.Image) -> Image.Image:
    """An image without transparency, shrunk to 32 x 32 by area means. Shrinking the result again changes nothing."""
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def thumbnail(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Grey 32 x 32 thumbnail of an image without transparency."""
    return np.asarray(shrunk(image).convert("L"), np.uint8)


def hash_thumbnails(thumbnails: npt.NDArray[np.uint8]) -> tuple[Hashes, npt.NDArray[np.float32]]:
    """Hashes and spreads of grey thumbnails [n, 32, 32].

    The spread is the contrast that the hash is computed from: the standard deviation of the thumbnail in these frequencies,
    in grey levels (0 for a single colour, at most 127), rounded to 4 decimals. The hash of a flat image (a spread of a few
    levels) is meaningless; callers must ignore it.
    """
    grey = thumbnails.reshape(len(thumbnails), SIDE * SIDE).astype(np.float64)
    waves = grey @ BASIS.T
    mean = np.sqrt((waves * waves).mean(axis=1, keepdims=True))
    bits = (waves > DEAD_SHARE * mean) & (waves > 0)
    hashes = (bits * WEIGHTS).sum(axis=1, dtype=np.uint64)
    spread = mean[:, 0] * np.sqrt(BITS) * 2 / (SCALE * SIDE * SIDE)
    return hashes, np.round(spread, 4).astype(np.float32)


def hash_image(image: Image.Image) -> tuple[int, float]:
    """Hash and spread of one image without transparency."""
    hashes, spread = hash_thumbnails(thumbnail(image)[None])
    return int(hashes[0]), float(spread[0])


def bit_count(values: Hashes) -> npt.NDArray[np.uint8]:
    """The number of set bits of each value."""
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    return np.unpackbits(np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1, dtype=np.uint8)


def distance(one: Hashes, other: Hashes) -> npt.NDArray[np.uint8]:
    """The number of bits that differ (Hamming distance), element by element."""
    return bit_count(one ^ other)


def tint(image: Image.Image) -> int:
    """Mean Cb and Cr of the four quarters, one byte each. They tell a red arrow from a blue one; the hash does not."""
    quarters = shrunk(image).resize((2, 2), Image.Resampling.BOX).convert("YCbCr")
    return int.from_bytes(np.asarray(quarters, np.uint8)[..., 1:].tobytes(), "little")


def tint_distance(one: Hashes, other: Hashes) -> npt.NDArray[np.uint8]:
    """The largest difference between two bytes of the tints, element by element."""
    a, b = (np.ascontiguousarray(values).view(np.uint8).reshape(-1, 8).astype(np.int16) for values in (one, other))
    return np.abs(a - b).max(axis=1, initial=0).astype(np.uint8)
