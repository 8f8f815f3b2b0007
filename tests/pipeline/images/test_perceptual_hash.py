"""The perceptual hash on real images and edited copies of them."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from qvl.pipeline.images.decode import decode
from qvl.pipeline.images.perceptual_hash import bit_count, distance, hash_image, hash_thumbnails, thumbnail
from tests.end_to_end.conftest import CORPUS

PATHS = [p for p in sorted((CORPUS / "museum" / "images").iterdir()) if "planted" not in p.name]
PICTURES = [decode(path.read_bytes(), 10_000) for path in PATHS[::3]]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return decode(file.getvalue(), 10_000)


def border(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES: dict[str, tuple[Callable[[Image.Image], Image.Image], int, float]] = {
    "half": (lambda i: i.resize((i.width // 2, i.height // 2), Image.Resampling.LANCZOS), 3, 0.97),
    "other sides": (lambda i: i.resize((300, 200), Image.Resampling.BICUBIC), 3, 0.97),
    "quality 40": (lambda i: jpeg(i, 40), 3, 0.97),
    "half, quality 75": (lambda i: jpeg(i.resize((i.width // 2, i.height // 2)), 75), 3, 0.95),
    "1% cut off all around": (lambda i: border(i, 0.01), 4, 0.8),
}


@pytest.mark.parametrize("kind", COPIES)
def test_hash_when_an_image_is_edited_slightly_stays_within_the_radius(kind: str) -> None:
    edit, radius, share = COPIES[kind]
    distances = [bin(hash_image(i)[0] ^ hash_image(edit(i))[0]).count("1") for i in PICTURES]
    assert np.mean(np.array(distances) <= radius) >= share, sorted(distances)


def test_hashes_of_different_images_are_far_apart() -> None:
    hashes, spread = hash_thumbnails(np.stack([thumbnail(i) for i in PICTURES]))
    distances = distance(hashes[:, None], hashes[None, :]).astype(int)
    np.fill_diagonal(distances, 64)
    assert distances.min() > 4
    assert spread.min() > 4


def test_hash_when_an_image_is_mirrored_is_far_from_the_original() -> None:
    distances = [
        bin(hash_image(i)[0] ^ hash_image(i.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[0]).count("1") for i in PICTURES
    ]
    assert np.mean(np.array(distances) > 8) > 0.95


def test_spread_when_an_image_is_flat_is_close_to_zero() -> None:
    random = np.random.default_rng(0)
    thumbnails = np.zeros((3, 32, 32), np.uint8)
    thumbnails[1] = 200
    thumbnails[2] = 128 + random.integers(-2, 3, (32, 32))
    assert hash_thumbnails(thumbnails)[1].max() < 1


def test_spread_is_the_standard_deviation_of_the_thumbnail() -> None:
    wave = 100 + 50 * np.cos(np.pi * (2 * np.arange(32) + 1) / 64)
    thumbnails = np.broadcast_to(np.round(wave), (1, 32, 32)).astype(np.uint8)
    assert hash_thumbnails(thumbnails)[1][0] == pytest.approx(50 / 2**0.5, abs=0.1)


def test_hash_thumbnails_when_images_are_batched_gives_the_same_as_for_each_alone() -> None:
    hashes, spread = hash_thumbnails(np.stack([thumbnail(i) for i in PICTURES]))
    assert [(int(h), float(s)) for h, s in zip(hashes, spread, strict=True)] == [hash_image(i) for i in PICTURES]


def test_hash_of_a_fixed_pattern_never_changes() -> None:
    """Stored hashes must stay valid: if this value changes, HASH_VERSION must change."""
    i = np.arange(32)
    pattern = (np.add.outer(i * 37, i * i * 11) + np.multiply.outer(i, i)) % 251
    hashes, spread = hash_thumbnails(pattern.astype(np.uint8)[None])
    assert (f"{int(hashes[0]):016x}", round(float(spread[0]), 3)) == ("0048c0d022480306", 11.7)


def test_bit_count_counts_the_set_bits() -> None:
    values = np.array([0, 1, 2**63, 2**64 - 1, 0b1011], np.uint64)
    assert bit_count(values).tolist() == [0, 1, 1, 64, 3]
