"""Held-out images: a seeded share of all images, by their bytes, so that no image is trained on and evaluated.

The side of an image depends on (bytes, seed, share) alone: equal for all samples that show it, in every dataset, and for
every number of shards. Training leaves out what ``held_out`` names; evaluation takes nothing else.
"""

import xxhash

from qvl.pipeline.commit.fingerprint import content_hash

SPAN = 1 << 64


def held_out(sha: str, share: float, seed: int = 0) -> bool:
    """Whether the image with this hash (hex xxh3-128 of its bytes: ``origin.sha`` of our samples) is held out."""
    return xxhash.xxh3_64_intdigest(sha.encode(), seed) < share * SPAN


def image_hash(data: bytes | memoryview) -> str:
    """The hash that ``held_out`` takes."""
    return content_hash(data)
