"""Names of files that a table gives never lead out of the image folder."""

from pathlib import Path

import pytest

from qvl.pipeline.sources.image_files import file_in


def test_file_in_a_folder_is_its_path(tmp_path: Path) -> None:
    assert file_in(str(tmp_path), "a/b.jpg") == str(tmp_path / "a/b.jpg")
    assert file_in(f"file://{tmp_path}", "a b.jpg") == str(tmp_path / "a b.jpg")
    assert file_in(str(tmp_path), str(tmp_path / "inside.jpg")) == str(tmp_path / "inside.jpg")


def test_file_in_a_store_is_its_address() -> None:
    assert file_in("s3://bucket/images/", "a/b.jpg") == "s3://bucket/images/a/b.jpg"
    assert file_in("s3://bucket/images", "/a.jpg") is None


@pytest.mark.parametrize("name", ["", "../a", "a/../../b", "/etc/passwd", "a\0", "a\\b", "http://x/a.jpg"])
def test_file_in_a_folder_when_the_name_leads_elsewhere_is_none(tmp_path: Path, name: str) -> None:
    assert file_in(str(tmp_path), name) is None


def test_file_in_a_folder_when_a_link_leads_out_is_none(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link").symlink_to(tmp_path)
    assert file_in(str(tmp_path / "images"), "link/a.jpg") is None
