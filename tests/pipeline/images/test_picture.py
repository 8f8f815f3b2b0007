"""Pictures from bytes and from files, and the reasons why there is none."""

from pathlib import Path

import pytest
import xxhash

from qvl.pipeline.images.picture import Picture, picture, read_picture
from qvl.pipeline.storage.reader import Storage
from tests.pipeline import samples

JPEG = samples.jpeg(seed=3, width=50, height=20)


def test_picture_has_the_bytes_with_their_size_and_hash() -> None:
    assert picture(JPEG) == Picture("jpg", JPEG, 50, 20, 1, xxhash.xxh3_128_hexdigest(JPEG))


@pytest.mark.parametrize(
    ("kind", "extension"),
    [*((kind, kind) for kind in ("png", "webp", "gif", "bmp", "avif", "tiff")), ("jpeg2000", "jp2")],
)
def test_picture_has_the_extension_of_its_format(kind: str, extension: str) -> None:
    found = picture(samples.encoded(samples.picture(), kind))
    assert isinstance(found, Picture) and found.extension == extension


def test_picture_keeps_the_stored_size_when_exif_turns_it() -> None:
    exif = samples.picture().getexif()
    exif[0x0112] = 6
    found = picture(samples.encoded(samples.picture(40, 30), "jpeg", exif=exif))
    assert isinstance(found, Picture) and (found.width, found.height, found.orientation) == (40, 30, 6)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unreadable:empty"),
        (b"<html>", "unreadable:not_an_image"),
        (JPEG[:-200], "unreadable:truncated"),
        (b"\0\0\0\x18ftypheic" + bytes(12), "unreadable:format:heic"),
    ],
)
def test_picture_when_the_bytes_cannot_be_used_gives_the_reason(data: bytes, reason: str) -> None:
    assert picture(data) == reason


def test_read_picture_reads_a_file_or_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    assert read_picture(str(tmp_path / "a.jpg"), Storage()) == picture(JPEG)
    assert read_picture(str(tmp_path / "b.jpg"), Storage()) == "image_missing"
    assert read_picture(str(tmp_path), Storage()) == "unreadable:IsADirectoryError"
