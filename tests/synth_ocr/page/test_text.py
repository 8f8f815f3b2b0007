"""Characters of labels."""

from hypothesis import given
from hypothesis import strategies as st

from qvl.synth_ocr.page.text import LATIN_EXTENDED, PRIVATE_USE, clean, joined, scripts


def test_scripts_count_every_character_once() -> None:
    text = "・ー、Aé中かנ\u0627Ж한α1,_ ☃"
    counts = scripts(text)
    assert sum(counts.values()) == len(text.replace(" ", ""))
    assert (
        counts["Latin"] == 2
        and counts["Hebrew"] == counts["Arabic"] == 1
        and counts["Kana"] == 2
        and counts["signs"] == 5
    )


def test_character_classes_are_those_of_the_paper() -> None:
    assert all(LATIN_EXTENDED.search(c) for c in "\u0100\u017f\u0180\u024f")
    assert not any(LATIN_EXTENDED.search(c) for c in "\u00ff\u0250é")
    assert all(PRIVATE_USE.search(c) for c in "\ue000\uf8ff\U000f0000\U000ffffd\U00100000\U0010fffd")


def test_joined_when_both_sides_are_chinese_has_no_blank() -> None:
    assert joined("中", "文") == "中文" and joined("a", "b") == "a b" and joined("中", "a") == "中 a"
    assert joined("", "a") == "a"


@given(st.text(max_size=60))
def test_clean_of_any_text_has_no_invisible_characters(text: str) -> None:
    label = clean(text)
    assert label == clean(label) == " ".join(label.split())
    assert not set(label) & set("\u200b\ufeff\u00ad\u00a0\u3000\ufe0f\x00\ufb01")
