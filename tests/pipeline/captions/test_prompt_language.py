"""The prompt language of a text."""

import pytest

from qvl.pipeline.captions.prompt_language import prompt_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("a red house", "en"),
        ("café", "en"),
        ("一只猫", "zh"),
        ("猫 cat", "en"),  # a quarter of the letters
        ("猫狗山 seven77", "zh"),  # three of eight
        ("中文中 abcdefg", "zh"),  # exactly three tenths
        ("中文 abcdefg", "en"),  # two of nine
        ("100% 中 2026", "zh"),
        ("。！？ 123", "en"),
        ("кот", "en"),
        ("𠮷野家", "zh"),
        ("ラーメン", "en"),
    ],
)
def test_prompt_language_is_chinese_from_three_tenths_of_han_letters(text: str, language: str) -> None:
    assert prompt_language(text) == language
