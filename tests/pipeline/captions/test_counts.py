"""Counts of scripts, words and emoji. The counts of a caption never depend on the other captions of a batch."""

import dataclasses

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qvl.pipeline.captions.counts import TextCounts, count

FIELDS = [field.name for field in dataclasses.fields(TextCounts)]
TRICKY = st.text(
    st.sampled_from(
        "aZé\u0301中々かー한я9Ａ１ \u3000.-#*\u200d\ufe0f\ufe0e\u20e3\u2764\u00a9\u231a"
        "\U0001f600\U0001f44b\U0001f3fd\U0001f1e9\U0001f1ea\U0001f3f4\U000e0067\U000e007f\u00b5\u02bb"
    ),
    max_size=12,
)


def one(text: str, field: str) -> float:
    return float(getattr(count([text]), field)[0])


@pytest.mark.parametrize(
    ("text", "latin", "han", "other"),
    [
        ("dog", 1, 0, 0),
        ("猫", 0, 1, 0),
        ("кот", 0, 0, 1),
        ("a猫", 0.5, 0.5, 0),
        ("aя猫é", 0.5, 0.25, 0.25),
        ("état Übergröße", 1, 0, 0),
        ("e\u0301", 1, 0, 0),
        ("ＡＢＣ１２３", 1, 0, 0),
        ("ﬁne ª", 1, 0, 0),
        ("中Ａ", 0.5, 0.5, 0),
        ("人々〇", 0, 1, 0),
        ("日本です", 0, 0.5, 0.5),
        ("한국어", 0, 0, 1),
        ("مرحبا", 0, 0, 1),
        ("5 µm in Hawaiʻi", 1, 0, 0),
        ("123, 45.6 (№ 7)!", 0, 0, 0),
        ("！？。「」", 0, 0, 0),
        ("\U0001f600", 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_count_gives_the_share_of_each_script(text: str, latin: float, han: float, other: float) -> None:
    found = count([text])
    assert (found.latin[0], found.han[0], found.other[0]) == (latin, han, other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a red dog", 3),
        ("don't stop", 2),
        ("state-of-the-art, really", 2),
        ("  blanks   around  ", 2),
        ("one\u3000two\u00a0three", 3),
        ("3 dogs", 2),
        ("红色的狗", 4),
        ("iPhone手机壳", 4),
        ("我有3只猫", 5),
        ("ラーメン", 4),
        ("собака и кот", 3),
        ("한국어 단어", 2),
        ("... !? -", 0),
        ("\U0001f600 dog", 1),
        ("", 0),
    ],
)
def test_count_counts_words_in_any_script(text: str, words: int) -> None:
    assert one(text, "words") == words


@pytest.mark.parametrize(
    ("text", "emoji"),
    [
        ("\U0001f600", 1),
        ("\U0001f600\U0001f600 and \U0001f600", 3),
        ("\U0001f1e9\U0001f1ea", 1),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 2),
        ("\U0001f1e9\U0001f1ea \U0001f1eb\U0001f1f7", 2),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", 1),
        ("1\ufe0f\u20e3", 1),
        ("#\u20e3", 1),
        ("10 #tag *", 0),
        ("\U0001f44b\U0001f3fd", 1),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", 1),
        ("\U0001f937\U0001f3fd\u200d\u2640\ufe0f", 1),
        ("\U0001f469\u200d\u2764\ufe0f\u200d\U0001f468", 1),
        ("\U0001f3f3\ufe0f\u200d\U0001f308", 1),
        ("\u2764\ufe0f", 1),
        ("\u2764", 0),
        ("\u2764\ufe0e", 0),
        ("\u231a", 1),
        ("\u231a\ufe0e", 0),
        ("\u00a9 2020 \u2122 \u00ae", 0),
        ("\u00a9\ufe0f", 1),
        ("\u2192 \u2605 \u266a \u2713", 0),
        ("plain text 中文", 0),
        ("", 0),
    ],
)
def test_count_counts_an_emoji_sequence_once(text: str, emoji: int) -> None:
    assert one(text, "emoji") == emoji


def test_count_when_captions_are_empty_gives_zeros_for_them() -> None:
    found = count(["", "dog", "", "", "猫 \U0001f600", ""])
    assert found.characters.tolist() == [0, 3, 0, 0, 3, 0]
    assert found.words.tolist() == [0, 1, 0, 0, 1, 0]
    assert found.emoji.tolist() == [0, 0, 0, 0, 1, 0]
    assert found.latin.tolist() == [0, 1, 0, 0, 0, 0]


def test_count_when_the_batch_is_empty_gives_empty_columns() -> None:
    found = count([])
    assert all(len(getattr(found, name)) == 0 for name in FIELDS)


@settings(max_examples=200)
@given(st.lists(TRICKY | st.text(max_size=8), max_size=8))
@example(["\U0001f1e9", "\U0001f1ea"])
@example(["\U0001f468\u200d", "\U0001f469"])
@example(["\u2764", "\ufe0f"])
@example(["1", "\u20e3"])
def test_count_when_captions_are_batched_gives_the_same_as_for_each_alone(texts: list[str]) -> None:
    whole = count(texts)
    for name in FIELDS:
        alone = [getattr(count([text]), name)[0] for text in texts]
        np.testing.assert_array_equal(getattr(whole, name), alone)


@given(st.lists(st.text(max_size=30), max_size=5))
def test_count_counts_code_points_and_its_shares_add_up_to_one(texts: list[str]) -> None:
    found = count(texts)
    assert found.characters.tolist() == [len(text) for text in texts]
    total = found.latin + found.han + found.other
    assert all(abs(share - round(float(share))) < 1e-6 and 0 <= share < 1.000001 for share in total)
    assert (found.words <= found.characters).all()
    assert (found.emoji <= found.characters).all()
