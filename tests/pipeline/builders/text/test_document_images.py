"""Pictures of documents: bytes, files, and members of tars by their address."""

import json
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.builders.text.document_images import DocumentImages, image_addresses
from qvl.pipeline.images.picture import Picture
from qvl.pipeline.sources.embedded_images import EmbeddedImage
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.builders.text.interleaved_files import png
from tests.pipeline.samples import tar_bytes


def write_tar(path: Path, numbers: range) -> None:
    """A tar like img2dataset's: a picture and a JSON with its address per key."""
    members = []
    for number in numbers:
        meta = json.dumps({"url": f"https://example.org/{number}.png", "status": "success"}).encode()
        members += [(f"{number:09d}.jpg", png(number)), (f"{number:09d}.json", meta)]
    path.write_bytes(tar_bytes([*members, ("x.jpg", png(50)), ("y.json", b"{"), ("y.jpg", png(51))]))


def test_addresses_when_their_tars_are_named_after_the_document_file_give_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "part-0").mkdir()
    (tmp_path / "part-1").mkdir()
    write_tar(tmp_path / "part-0" / "00000.tar", range(2))
    write_tar(tmp_path / "part-0" / "00001.tar", range(2, 4))
    write_tar(tmp_path / "part-1" / "00000.tar", range(4, 6))
    found = image_addresses(f"{tmp_path}/{{name}}/*.tar", "docs/part-0.parquet", Storage())
    assert sorted(found) == [f"https://example.org/{number}.png" for number in range(4)]
    images = DocumentImages(str(tmp_path), Storage(), found)
    shown = images.find(EmbeddedImage(path="https://example.org/3.png"))
    assert isinstance(shown, Picture) and shown.data == png(3)
    assert images.find(EmbeddedImage(path="https://example.org/4.png")) == "image_address"


def test_addresses_when_no_tars_are_named_are_none() -> None:
    assert image_addresses(None, "a.parquet", Storage()) == {}


def test_a_tar_of_pictures_when_damaged_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"<html>" * 200)
    with pytest.raises(RecipeError, match=r"a\.tar: not_a_tar"):
        image_addresses(str(tmp_path / "a.tar"), "a.parquet", Storage())


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (EmbeddedImage(fault="unreadable:bad_base64"), "unreadable:bad_base64"),
        (EmbeddedImage(b"<html>"), "unreadable:not_an_image"),
        (EmbeddedImage(), "image_missing"),
        (EmbeddedImage(path="gone.png"), "image_missing"),
        (EmbeddedImage(path="../secret.png"), "bad_path"),
        (EmbeddedImage(path="x" * 5_000), "unreadable:OSError"),
    ],
)
def test_a_picture_that_cannot_be_found_has_a_reason(tmp_path: Path, image: EmbeddedImage, reason: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "secret.png").write_bytes(png(0))
    assert DocumentImages(str(tmp_path / "images"), Storage()).find(image) == reason
