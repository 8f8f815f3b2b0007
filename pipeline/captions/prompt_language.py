"""The prompt language for a text, English or Chinese, decided by its letters and not by the language model."""

import re

HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
LETTERS = re.compile(r"[^\W\d_]")
HAN_SHARE = 0.3


def prompt_language(text: str) -> str:
    """``zh`` if at least three tenths of the letters are Han characters, else ``en``."""
    if text.isascii():
        return "en"
    letters = len(LETTERS.findall(text))
    return "zh" if letters and len(HAN.findall(text)) >= HAN_SHARE * letters else "en"
