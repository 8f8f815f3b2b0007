"""Interleaved documents: verdicts, pictures that are lost or left out, and how long documents are divided."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qvl.pipeline.builders.text.interleaved import Interleaved, cut
from qvl.pipeline.builders.text.source import Draft
from qvl.pipeline.images.picture import Picture
from qvl.pipeline.markup.turns import Turn
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.builders.text.interleaved_files import mmc4, obelics, omnicorpus, png

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def drafts(path: Path, **options: Any) -> list[Draft]:
    source = Interleaved(name="docs", paths=(str(path),), image_folder=str(path.parent / "images"), **options)
    return list(source.drafts(str(path), Storage()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder ``images`` with pictures 0.png to 9.png."""
    (tmp_path / "images").mkdir()
    for number in range(10):
        (tmp_path / "images" / f"{number}.png").write_bytes(png(number))
    return tmp_path


def shape(draft: Draft) -> list[str]:
    """The turns of the first sample: role and text."""
    return [f"{turn.role}:{turn.text}" for turn in draft.samples[0]]


def test_a_document_of_obelics_when_read_has_its_pictures_and_texts_in_order(folder: Path) -> None:
    obelics(folder / "a.parquet", [(["0.png", None, None, "1.png"], [None, "First.", "Second.", None])])
    (draft,) = drafts(folder / "a.parquet")
    assert (draft.verdict, draft.key) == ("keep", "https://example.org/0")
    assert draft.samples == [
        (Turn("user", "<img>0</img>\n"), Turn("text", "First.\n\nSecond."), Turn("user", "\n<img>1</img>\n"))
    ]
    assert [picture.data for picture in draft.pictures] == [png(0), png(1)]
    assert draft.columns == {"lost_images": 0, "small_images": 0, "surplus_images": 0}


@pytest.mark.parametrize("kind", [pa.binary(), STRUCT])
def test_pictures_in_the_cells_themselves_when_read_are_those_of_the_document(folder: Path, kind: pa.DataType) -> None:
    cells = (
        [png(3), png(4)] if kind == pa.binary() else [{"bytes": png(3), "path": None}, {"bytes": None, "path": "4.png"}]
    )
    obelics(folder / "a.parquet", [([cells[0], None, cells[1]], [None, "Between.", None])], kind)
    (draft,) = drafts(folder / "a.parquet")
    assert [picture.data for picture in draft.pictures] == [png(3), png(4)]


def test_a_document_of_omnicorpus_when_read_is_like_one_of_obelics(folder: Path) -> None:
    omnicorpus(folder / "a.jsonl", [([None, "5.png"], ["First.", None])])
    (draft,) = drafts(folder / "a.jsonl")
    assert (draft.verdict, draft.key, shape(draft)) == ("keep", "d0", ["text:First.", "user:\n<img>0</img>\n"])


def test_a_document_of_mmc4_when_read_has_each_picture_before_its_sentence(folder: Path) -> None:
    mmc4(folder / "a.jsonl", [(["One.", "Two.", "Three."], [("2.png", 2), ("1.png", 1), ("3.png", 1)])])
    (draft,) = drafts(folder / "a.jsonl")
    assert shape(draft) == [
        "text:One.",
        "user:\n<img>0</img>\n<img>1</img>\n",
        "text:Two.",
        "user:\n<img>2</img>\n",
        "text:Three.",
    ]
    assert [picture.data for picture in draft.pictures] == [png(1), png(3), png(2)]


def test_a_lost_picture_when_kept_is_counted_and_costs_nothing_else(folder: Path) -> None:
    (folder / "images" / "broken.png").write_bytes(png(0)[:-20])
    images = ["0.png", None, "gone.png", "broken.png", "https://example.org/x.png", "../a.parquet", "1.png"]
    obelics(folder / "a.parquet", [(images, [None, "Text.", *[None] * 5])])
    (draft,) = drafts(folder / "a.parquet")
    assert (draft.verdict, len(draft.pictures), draft.columns["lost_images"]) == ("keep", 2, 4)
    assert shape(draft) == ["user:<img>0</img>\n", "text:Text.", "user:\n<img>1</img>\n"]
    (draft,) = drafts(folder / "a.parquet", lost_images="drop")
    assert (draft.verdict, draft.columns["lost_images"]) == ("image_missing", 4)


def test_pictures_under_the_sizes_of_a_recipe_when_read_are_left_out_and_counted(folder: Path) -> None:
    (folder / "images" / "wide.png").write_bytes(png(7, 300, 50))
    (folder / "images" / "icon.png").write_bytes(png(8, 16, 16))
    obelics(folder / "a.parquet", [(["0.png", "wide.png", "icon.png", None], [None, None, None, "Text."])])
    (draft,) = drafts(folder / "a.parquet", minimum_side=20, maximum_aspect=3)
    assert (len(draft.pictures), draft.columns["small_images"]) == (1, 2)
    (draft,) = drafts(folder / "a.parquet", minimum_side=20, maximum_aspect=3, minimum_images=2)
    assert draft.verdict == "too_few_images"


@pytest.mark.parametrize(
    ("images", "texts", "verdict"),
    [
        (["gone.png", None], [None, "Text."], "too_few_images"),
        (["0.png"], [None], "no_text"),
        (["0.png", None], [None, " "], "no_text"),
        (["0.png"], [None, "Text."], "unreadable:lists_of_different_lengths"),
        (["0.png", None], [None, "A <box>(1,2),(3,4)</box>."], "markup"),
        (None, None, "unreadable:no_document"),
        ([], [], "too_few_images"),
    ],
)
def test_a_document_that_cannot_be_used_has_one_reason(
    folder: Path, images: list[Any], texts: list[Any], verdict: str
) -> None:
    obelics(folder / "a.parquet", [(images, texts), (["1.png", None], [None, "Kept."])])
    assert [draft.verdict for draft in drafts(folder / "a.parquet")] == [verdict, "keep"]


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (
            '{"text_list": ["a"], "image_info": [{"image_name": "0.png", "matched_text_index": 9}]}',
            "image_without_position",
        ),
        ('{"text_list": [5], "image_info": []}', "no_text"),
        ('{"texts": ["\\ud800"], "images": [null]}', "invalid_utf8"),
        ('{"texts": ', "bad_json"),
        ("[1]", "bad_json"),
    ],
)
def test_a_line_that_is_no_document_when_read_is_one_row_with_a_reason(folder: Path, line: str, verdict: str) -> None:
    mmc4(folder / "a.jsonl", [(["One."], [("1.png", 0)])])
    path = folder / "a.jsonl"
    path.write_text(line + "\n" + path.read_text())
    first, second = drafts(path)
    assert (first.verdict, second.verdict) == (f"unreadable:{verdict}", "keep")


def test_a_document_that_occurs_twice_when_read_is_a_duplicate(folder: Path) -> None:
    row = (["0.png", None], [None, "Text."])
    obelics(folder / "a.parquet", [row, row, (["1.png", None], [None, "Text."])])
    assert [draft.verdict for draft in drafts(folder / "a.parquet")] == ["keep", "duplicate", "keep"]


def test_a_long_document_when_divided_loses_nothing_and_each_sample_has_its_own_pictures(folder: Path) -> None:
    images: list[str | None] = []
    texts: list[str | None] = []
    for number in range(10):
        images += [f"{number}.png", None]
        texts += [None, f"Paragraph {number} has a few letters."]
    obelics(folder / "a.parquet", [(images, texts)])
    (draft,) = drafts(folder / "a.parquet", characters=100, images=3)
    shares = [len(pictures) for pictures in draft.pictures_of_samples()]
    assert shares == [3, 3, 3, 1] and draft.shares == tuple(shares)
    assert [picture.data for picture in draft.pictures] == [png(number) for number in range(10)]
    for number, turns in enumerate(draft.samples):
        whole = "".join(turn.text for turn in turns)
        assert whole.count("<img>") == shares[number] and f"<img>{shares[number] - 1}</img>" in whole
    text = " ".join(turn.text for turns in draft.samples for turn in turns if turn.role == "text")
    assert text == " ".join(each for each in texts if each)


def test_more_pictures_than_a_sample_may_have_when_no_text_is_between_them_are_surplus(folder: Path) -> None:
    names = [f"{number}.png" for number in range(7)]
    obelics(folder / "a.parquet", [([*names, None], [*[None] * 7, "The only text."])])
    (draft,) = drafts(folder / "a.parquet", images=2)
    assert [picture.data for picture in draft.pictures] == [png(6)]
    assert draft.columns["surplus_images"] == 6


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["0.png", "A text.", "<img>"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["bytes", "path", "image_name"]), inner)
    ),
    max_leaves=6,
)
LISTS = st.lists(VALUES, max_size=4) | VALUES
KEYS = ("images", "texts", "text_list", "image_info", "id", "general_metadata")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(st.sampled_from(KEYS), LISTS), min_size=1, max_size=4))
def test_any_rows_when_read_have_one_draft_each_and_only_kept_ones_have_samples(
    folder: Path, rows: list[dict[str, Any]]
) -> None:
    (folder / "any.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    found = drafts(folder / "any.jsonl", minimum_images=0)
    assert len(found) == len(rows)
    assert all(bool(draft.samples) == (draft.verdict == "keep") for draft in found)


def shown(number: int) -> Picture:
    return Picture("png", b"", 1, 1, 1, str(number))


def test_cut_when_the_text_no_longer_fits_moves_the_pictures_before_it_to_the_next_sample() -> None:
    parts: list[str | Picture] = ["a" * 60, shown(0), "b" * 60, shown(1)]
    assert list(cut(parts, 100, 4)) == [["a" * 60], [shown(0), "b" * 60, shown(1)]]


def test_cut_when_a_text_is_longer_than_a_sample_divides_it() -> None:
    samples = list(cut([shown(0), "A sentence. " * 30], 100, 4))
    assert samples[0][0] == shown(0) and all(
        len("".join(str(p) for p in s if isinstance(p, str))) <= 100 for s in samples
    )
    assert sum(str(part).count("sentence") for sample in samples for part in sample) == 30
