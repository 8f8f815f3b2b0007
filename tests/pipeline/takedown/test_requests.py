"""Lists of what is to be taken down."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.takedown.requests import TakedownList, read_list

SHA = "0123456789ABCDEF0123456789abcdef"


def read(folder: Path, *lines: str) -> TakedownList:
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    return read_list(folder / "list.txt")


@pytest.mark.parametrize(
    ("line", "kind", "value"),
    [
        ("web-0-1", "id", "web-0-1"),
        ("https://example.org/A.jpg", "url", "https://example.org/A.jpg"),
        (SHA, "sha", SHA.lower()),
        (2 * SHA, "sha256", 2 * SHA.lower()),
        (f"md5:{SHA}", "md5", SHA.lower()),
        (f"sha:{SHA}", "sha", SHA.lower()),
        (f"id:{SHA}", "id", SHA),
        ("url:example.org/A.jpg", "url", "example.org/A.jpg"),
        ("coco:7", "id", "coco:7"),
        ("abcdef", "id", "abcdef"),
        ("id:", "id", "id:"),
    ],
)
def test_read_list_recognizes_the_kind_of_a_line(line: str, kind: str, value: str, tmp_path: Path) -> None:
    values = read(tmp_path, "# takedowns", "", f"  {line}  ").values
    assert {name: sorted(found) for name, found in values.items() if found} == {kind: [value]}


def test_read_list_when_it_names_nothing_or_cannot_be_read_raises_recipe_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no id, address or hash"):
        read(tmp_path, "# takedowns", "")
    with pytest.raises(RecipeError, match="cannot be read as a list"):
        read_list(tmp_path / "nowhere.txt")
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(RecipeError, match="cannot be read as a list"):
        read_list(tmp_path / "image.jpg")


def test_list_of_ids_only_is_matched_by_id(tmp_path: Path) -> None:
    wanted = read(tmp_path, "web-0-1", "web-0-2")
    assert wanted.only_ids
    assert wanted.line_of_id("web-0-2") == "id:web-0-2"
    assert wanted.line_of_id("web-0-3") is None
    assert not read(tmp_path, "web-0-1", SHA).only_ids
