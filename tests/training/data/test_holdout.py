"""The split by image depends on the bytes, the seed and the share alone."""

from qvl.training.data.holdout import held_out, image_hash

HASHES = [image_hash(str(number).encode()) for number in range(4000)]


def test_the_share_of_images_is_held_out_and_grows_with_the_share() -> None:
    small = {sha for sha in HASHES if held_out(sha, 0.1)}
    large = {sha for sha in HASHES if held_out(sha, 0.3)}
    assert 300 < len(small) < 500 and 1050 < len(large) < 1350
    assert small < large


def test_another_seed_holds_out_other_images() -> None:
    first, second = ({sha for sha in HASHES if held_out(sha, 0.1, seed)} for seed in (0, 5))
    assert first != second and len(first & second) < 80


def test_equal_bytes_have_equal_hashes_whatever_holds_them() -> None:
    assert image_hash(b"picture") == image_hash(memoryview(b"picture")) != image_hash(b"another")
