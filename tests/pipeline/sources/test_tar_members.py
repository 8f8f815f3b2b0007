"""Members of tars as samples: endings, webdataset's rule, several pictures, and files that are no samples."""

from typing import Any

import pytest
from pydantic import ValidationError

from qvl.pipeline.sources.tar_index import Member
from qvl.pipeline.sources.tar_members import Grouped, Members, TarSample, group, split_name


def grouped(*names: str, **options: Any) -> Grouped:
    members = [Member(name, number, 1) for number, name in enumerate(names)]
    return group(members, Members(**options) if options else None)


def parts(sample: TarSample) -> list[str | None]:
    """Key and names of picture, caption and record."""
    return [sample.key, *(member.name if member else None for member in (sample.image, sample.text, sample.meta))]


@pytest.mark.parametrize(
    ("name", "key", "kind"),
    [
        ("a.jpg", "a", "image"),
        ("a.JPG", "a", "image"),
        ("a.b.c.Jpeg", "a.b.c", "image"),
        ("dir.v1/a.png", "dir.v1/a", "image"),
        ("a.webp", "a", "image"),
        ("a.txt", "a", "text"),
        ("a.json", "a", "meta"),
        ("a.cls", "a", "other"),
        ("a.jfif", "a", "image"),
        ("a.mp3", "a", "unknown"),
        ("dir.v1/readme", "dir.v1/readme", "unknown"),
        ("/etc/passwd", "/etc/passwd", "unknown"),
        ("../../a.jpg", "../../a", "image"),
        (".jpg", "", "image"),
    ],
)
def test_names_split_into_key_and_kind(name: str, key: str, kind: str) -> None:
    assert split_name(name) == (key, kind)


@pytest.mark.parametrize("options", [{}, {"caption": ["txt"]}, {"key": "first_dot"}])
def test_files_of_an_operating_system_when_grouped_are_counted_and_in_no_sample(options: dict[str, Any]) -> None:
    found = grouped(
        *("._0.jpg", "0.jpg", "._0.txt", "0.txt", ".DS_Store", "__MACOSX/._0.jpg", "__MACOSX/0.jpg", "d/Thumbs.db"),
        **options,
    )
    assert [parts(sample) for sample in found.samples] == [["0", "0.jpg", "0.txt", None]]
    assert found.left_out == {"system_files": 6}


@pytest.mark.parametrize("options", [{}, {"caption": ["txt"]}, {"key": "first_dot"}])
def test_unknown_files_when_grouped_are_counted_unless_a_sample_has_their_key(options: dict[str, Any]) -> None:
    found = grouped("LICENSE", "0.mp3", "0.jpg", "0.txt", "1.mp3", **options)
    assert [parts(sample) for sample in found.samples] == [["0", "0.jpg", "0.txt", None]]
    assert found.left_out == {"unknown_files": 2}


def test_names_with_two_dots_when_divided_at_the_first_one_are_one_sample() -> None:
    found = grouped("0.png", "0.caption.txt", "0.image.caption.json", "v1.2/1.png", key="first_dot")
    assert [parts(sample) for sample in found.samples] == [
        ["0", "0.png", "0.caption.txt", "0.image.caption.json"],
        ["v1.2/1", "v1.2/1.png", None, None],
    ]


def test_several_pictures_of_a_key_when_grouped_are_one_sample_with_the_first_and_the_others_counted() -> None:
    found = grouped("0.left.jpg", "0.right.jpg", "0.txt", "1.right.jpg", "1.left.jpg", "1.txt", key="first_dot")
    assert [parts(sample)[:3] for sample in found.samples] == [
        ["0", "0.left.jpg", "0.txt"],
        ["1", "1.right.jpg", "1.txt"],
    ]
    assert found.left_out == {"further_images": 2}


def test_several_pictures_of_a_key_when_named_are_one_sample_with_the_preferred_one() -> None:
    names = ("0.left.jpg", "0.right.jpg", "0.txt", "1.right.jpg", "1.left.jpg", "1.txt")
    found = grouped(*names, image=["right.jpg", "left.jpg"])
    assert [parts(sample)[:3] for sample in found.samples] == [
        ["0", "0.right.jpg", "0.txt"],
        ["1", "1.right.jpg", "1.txt"],
    ]
    assert found.left_out == {"further_images": 2}


def test_several_pictures_of_a_key_when_each_is_asked_for_are_a_sample_each_with_the_same_caption() -> None:
    found = grouped("0.left.jpg", "0.txt", "0.right.jpg", "1.txt", "2.jpg", key="first_dot", pictures="each")
    assert [parts(sample)[:3] for sample in found.samples] == [
        ["0", "0.left.jpg", "0.txt"],
        ["0", "0.right.jpg", "0.txt"],
        ["1", None, "1.txt"],
        ["2", "2.jpg", None],
    ]
    assert not found.left_out


def test_a_longer_ending_that_is_named_when_split_takes_precedence() -> None:
    found = grouped("a.b.caption.txt", "a.b.JPG", "c.txt", caption=["Caption.TXT", ".txt"])
    assert [parts(sample)[:3] for sample in found.samples] == [
        ["a.b", "a.b.JPG", "a.b.caption.txt"],
        ["c", None, "c.txt"],
    ]


@pytest.mark.parametrize("options", [{"caption": "txt"}, {"key": "first_dot"}])
def test_a_key_that_occurs_twice_when_grouped_by_names_is_two_samples(options: dict[str, Any]) -> None:
    found = grouped("0.jpg", "0.txt", "0.jpg", "0.txt", **options)
    assert [parts(sample)[0] for sample in found.samples] == ["0", "0"]
    assert [sample.image.offset for sample in found.samples if sample.image] == [0, 2]
    assert not found.left_out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image": ["png"], "caption": ["png"]}, "two kinds"),
        ({"caption": ["."]}, "part of a name after a dot"),
        ({"caption": []}, "at least 1"),
        ({"key": "last"}, "known_ending"),
        ({"images": ["jpg"]}, "images"),
    ],
)
def test_names_that_mean_nothing_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Members(**options)
