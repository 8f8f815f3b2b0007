"""Measuring a batch: columns do not depend on the batch, and one bad row costs only itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.curate.measuring.columns import COLUMNS
from qvl.pipeline.curate.measuring.measure import measure, text_hashes
from qvl.pipeline.recipe.cleaning import Clean
from qvl.pipeline.sources.base import Row
from tests.pipeline.samples import encoded, jpeg, picture

CAPTIONS = [
    "A red dog on the beach",
    "一只红色的狗",
    "<b>bold</b> &amp; plain",
    "",
    "\U0001f600 smile",
    "<PERSON> with <box>",
]


class Poisoned(LanguageModel):
    """The shipped model, except that one word makes it crash."""

    def measure(
        self, texts: list[str], latin: np.ndarray, han: np.ndarray, other: np.ndarray
    ) -> tuple[list[str], np.ndarray]:
        if any("poison" in text for text in texts):
            raise ZeroDivisionError("poison")
        return super().measure(texts, latin, han, other)


@pytest.fixture(scope="module")
def poisoned() -> Poisoned:
    return Poisoned("lid.176.ftz")


def make_rows(captions: Sequence[str | bytes]) -> list[Row]:
    return [
        Row(key=str(i), caption=c if isinstance(c, bytes) else c.encode(), url=f"u{i}", image=jpeg(i % 7), locator=i)
        for i, c in enumerate(captions)
    ]


def table(rows: Sequence[Row], model: LanguageModel, sizes: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Rows as measured in batches of these sizes, then the rest."""
    result, at = [], 0
    for size in [*sizes, len(rows)]:
        part = rows[at : at + size]
        if part:
            batch = measure(part, at, Clean(), model).rows
            assert batch.schema == COLUMNS
            result.extend(batch.to_pylist())
        at += size
    return result


def test_the_columns_of_one_row(language: LanguageModel) -> None:
    image = encoded(picture(50, 40), "png")
    given = Row("k", b"A <b>red</b> dog &amp; a cat!!", "u", image, 77, None, {"clip": 0.31256, "nsfw": 0.1})
    (row,) = table([given], language)
    expected = {
        **{"row": 0, "key": "k", "url": "u", "locator": 77, "fault": None},
        **{"caption_raw": "A <b>red</b> dog &amp; a cat!!", "caption": "A red dog & a cat!"},
        **{"width": 50, "height": 40, "format": "png", "mode": "RGB", "orientation": 1, "animated": False},
        **{"image_bytes": len(image), "image_hash": xxhash.xxh3_128_digest(image)},
        **{"text_hash": xxhash.xxh3_128_digest(b"areddogacat"), "characters": 18, "words": 5, "emoji": 0},
        **{"markers": 0, "special_tags": 0, "latin": 1.0, "han": 0.0, "other": 0.0, "language": "en"},
        **{"watermark": None, "aesthetic": None},
    }
    assert {name: row[name] for name in expected} == expected
    assert row["clip"] == pytest.approx(0.3126, abs=1e-7)
    assert 0 < row["language_probability"] <= 1


def test_markers_and_tags_are_counted_in_the_clean_caption(language: LanguageModel) -> None:
    captions = ["<box>(1,2)</box> <ref>", "&lt;box&gt;", "<PERSON> and <ORGANIZATION>", "<|endoftext|>", "a < b"]
    found = [(r["markers"], r["special_tags"]) for r in table(make_rows(captions), language)]
    assert found == [(3, 0), (1, 0), (0, 2), (1, 0), (0, 0)]


@settings(max_examples=40)
@given(st.lists(st.sampled_from(CAPTIONS) | st.text(max_size=20), min_size=1, max_size=12), st.data())
def test_columns_do_not_depend_on_the_batches(
    language: LanguageModel, captions: list[str], data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 5), max_size=6))
    rows = [c.encode("utf-8", "surrogatepass") for c in captions]
    assert table(make_rows(rows), language, sizes) == table(make_rows(rows), language)


@pytest.mark.parametrize("at", [0, 1, 6, 12])
@pytest.mark.parametrize("others", [1, 12])
def test_a_row_that_crashes_the_batch_is_found(poisoned: Poisoned, at: int, others: int) -> None:
    captions = [f"dog number {i}" for i in range(others)]
    captions.insert(min(at, others), "poison")
    rows = make_rows(captions)
    found = table(rows, poisoned)
    assert [row["fault"] for row in found] == [
        "unreadable:error:ZeroDivisionError" if caption == "poison" else None for caption in captions
    ]
    assert [row["row"] for row in found] == list(range(len(captions)))
    assert [row["key"] for row in found] == [row.key for row in rows]
    clean = table(make_rows(captions), LanguageModel("lid.176.ftz"))
    good = [i for i, caption in enumerate(captions) if caption != "poison"]
    assert [found[i] for i in good] == [clean[i] for i in good]


def test_several_crashing_rows(poisoned: Poisoned) -> None:
    captions = ["poison" if i in (2, 3, 9) else f"dog {i}" for i in range(11)]
    found = [row["fault"] is not None for row in table(make_rows(captions), poisoned)]
    assert [i for i, bad in enumerate(found) if bad] == [2, 3, 9]


def test_an_error_that_every_row_meets_is_raised(poisoned: Poisoned) -> None:
    with pytest.raises(ZeroDivisionError):
        measure(make_rows(["poison"] * 20), 0, Clean(), poisoned)


def test_faults_of_the_reader_are_kept_and_measured_as_far_as_they_go(language: LanguageModel) -> None:
    rows = [
        Row("a", b"gone", "u", fault="download:failed_to_download"),
        Row("b", b"text", image=b"<html>"),
        Row("c", b"text", image=b""),
        Row("d", b"text", image=jpeg()[:-100]),
        Row("e", b"caf\xe9", image=jpeg()),
        Row("f", b"caf\xe9", image=b"<html>"),
        Row("g", b"text", image=jpeg()),
    ]
    found = table(rows, language)
    assert [row["fault"] for row in found] == [
        "download:failed_to_download",
        "unreadable:not_an_image",
        "unreadable:empty",
        "unreadable:truncated",
        "unreadable:invalid_utf8",
        "unreadable:not_an_image",
        None,
    ]
    assert [row["image_bytes"] is None for row in found] == [True, *[False] * 6]
    assert [row["image_hash"] is None for row in found] == [True, *[False] * 6]
    assert found[0]["caption"] == "gone"
    assert found[4]["caption_raw"] == "caf\\xe9"


def test_hostile_keys_urls_and_captions(language: LanguageModel) -> None:
    rows = [
        Row("\udcff/../key\0", b"nul \0 byte", "http://\udcff", jpeg()),
        Row("k" * 100_000, b"x" * 1_000_000, "u" * 100_000, jpeg()),
        Row("", "\u200b\u00ad".encode(), "", jpeg()),
    ]
    found = table(rows, language)
    assert [row["fault"] for row in found] == [None] * 3
    assert found[0]["key"] == "\\udcff/../key\0"
    assert found[0]["caption"] == "nul byte"
    assert found[1]["characters"] == 1_000_000
    assert (found[2]["caption"], found[2]["text_hash"], found[2]["language"]) == ("", None, "und")


def test_captions_that_differ_in_case_dots_and_width_have_one_hash() -> None:
    same = ["A red dog.", "a RED dog", "ＡＲｅｄｄｏｇ！", "a-red-dog"]
    other = ["a red dogs", "a red d0g", "红狗"]
    empty = ["", "...", "!?", "\U0001f600"]
    found = text_hashes(pa.array([*same, *other, *empty])).to_pylist()
    assert len(set(found[:4])) == 1
    assert len(set(found[: 4 + len(other)])) == 1 + len(other)
    assert found[-4:] == [None] * 4
