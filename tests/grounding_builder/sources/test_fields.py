"""Fields of records that are not what they should be."""

from pathlib import Path
from typing import Any

import pytest

from qvl.grounding_builder.drafts.drafts import Draft
from qvl.grounding_builder.drafts.readable import Unusable
from qvl.grounding_builder.sources.fields import drafts_or_bad, identity, image_path, image_size, printable, side
from qvl.pipeline.storage.reader import Storage
from tests.grounding_builder.helpers import jpeg


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, "7"), ("7", "7"), (7.0, "7"), (7.5, None), (None, None), ([7], None), (True, None), (10**30, "1" + "0" * 30)],
)
def test_identity_when_ids_are_equal_as_text_are_the_same(value: Any, expected: str | None) -> None:
    assert identity(value) == expected


@pytest.mark.parametrize(
    "name", ["../a.jpg", "/etc/passwd", "a/../../b.jpg", "http://x/a.jpg", "", None, "a\0b", "a\\b", "\udc80"]
)
def test_image_path_when_it_leads_elsewhere_is_unusable(name: str | None) -> None:
    with pytest.raises(Unusable):
        image_path("images", name)


def test_image_path_when_in_a_folder_below_stays_as_it_is() -> None:
    assert image_path("images", "train/a..b.jpg") == "images/train/a..b.jpg"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(640, 640), (640.0, 640),
     ("640", 640), (640.5, 0), (0, 0), (-1, 0), (True, 0), ("wide", 0), (1e308, 0), (None, 0), ([640], 0),
     (float("nan"), 0), ("9" * 5_000, 0)],
)  # fmt: skip
def test_side_when_not_whole_pixels_is_zero(value: Any, expected: int) -> None:
    assert side(value) == expected


def test_image_size_when_not_annotated_comes_from_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(64, 48))
    path = str(tmp_path / "a.jpg")
    assert image_size(None, 48, path, Storage()) == (64, 48)
    assert image_size(10, "20", path, Storage()) == (10, 20)
    with pytest.raises(Unusable, match="image_missing"):
        image_size(None, None, str(tmp_path / "b.jpg"), Storage())


def test_drafts_or_bad_when_a_row_fails_gives_its_reason_for_every_box() -> None:
    def fail(error: Exception) -> list[Draft]:
        raise error

    (row,) = drafts_or_bad("\ud800", 2, fail, Unusable("no_caption"))
    assert (row.key, row.verdict, row.lost) == ("?", "no_caption", ["no_caption"] * 2)
    (row,) = drafts_or_bad([], 0, fail, KeyError("bbox"))
    assert (row.key, row.verdict, row.lost) == ("", "unreadable:bad_record", [])
    assert printable(7) == "7"
