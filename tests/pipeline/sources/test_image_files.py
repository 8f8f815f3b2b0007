"""Names of files that a table gives never lead out of the image folder; links of the folder do where the user says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qvl.pipeline.sources.image_files import NamedFile, file_in, linked_file_in

Find = Callable[[str, str], NamedFile]

BAD, OUTSIDE = NamedFile(fault="bad_path"), NamedFile(fault="link_outside")


@pytest.mark.parametrize("find", [file_in, linked_file_in])
def test_file_in_a_folder_is_its_path(tmp_path: Path, find: Find) -> None:
    assert find(str(tmp_path), "a/b.jpg") == NamedFile(str(tmp_path / "a/b.jpg"))
    assert find(f"file://{tmp_path}", "a b.jpg") == NamedFile(str(tmp_path / "a b.jpg"))
    assert find(str(tmp_path), str(tmp_path / "inside.jpg")) == NamedFile(str(tmp_path / "inside.jpg"))


@pytest.mark.parametrize("find", [file_in, linked_file_in])
def test_file_in_a_store_is_its_address(find: Find) -> None:
    assert find("s3://bucket/images/", "a/b.jpg") == NamedFile("s3://bucket/images/a/b.jpg")
    assert find("https://h/images?sig=x", "a?.jpg") == NamedFile("https://h/images/a%3F.jpg?sig=x")
    assert find("s3://bucket/images", "/a.jpg") == BAD


@pytest.mark.parametrize("find", [file_in, linked_file_in])
@pytest.mark.parametrize("name", ["", "../a", "a/../../b", "/etc/passwd", "a\0", "a\\b", "http://x/a.jpg"])
def test_name_when_it_leads_elsewhere_is_a_fault(tmp_path: Path, name: str, find: Find) -> None:
    assert find(str(tmp_path), name) == BAD


def test_link_when_it_leads_out_is_a_fault_of_its_own_unless_links_are_followed(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "link").symlink_to(tmp_path)
    (images / "loop").symlink_to(images / "loop")
    (tmp_path / "also").symlink_to(images)
    for name in ("link/a.jpg", str(images / "link/a.jpg")):
        assert file_in(str(images), name) == OUTSIDE
        assert linked_file_in(str(images), name) == NamedFile(str(images / "link/a.jpg"))
    assert file_in(str(images), "loop") == BAD
    assert file_in(str(tmp_path / "also"), "link/a.jpg") == OUTSIDE
    for folder, other in ((images, tmp_path / "also"), (tmp_path / "also", images)):
        assert file_in(str(folder), str(other / "a.jpg")) == NamedFile(str(images / "a.jpg"))
        assert linked_file_in(str(folder), str(other / "a.jpg")).fault is None
    assert linked_file_in(str(images), str(tmp_path / "secret.jpg")) == BAD
