"""Held-out images: a seeded share of all images, chosen by their bytes, so that no image is both trained and evaluated on.

Whether an image is held out depends on (bytes, seed, share) alone. It is the same for all samples that show the image, in
every dataset and at any number of shards. Training leaves held-out images out; evaluation with `--split heldout` takes no
others.
"""

import xxhash

from qvl.pipeline.commit.fingerprint import content_hash

SPAN = 1 << 64


def held_out(sha: str, share: float, seed: int = 0) -> bool:
    """Whether the image with this hash (hex xxh3-128 of its bytes, ``origin.sha`` in our samples) is held out."""
    return xxhash.xxh3_64_intdigest(sha.encode(), seed) < share * SPAN


def image_hash(data: bytes | memoryview) -> str:
    """The hash that ``held_out`` takes."""
    return content_hash(data)
