"""In which of the two prompt languages a text is answered: a question of its letters, not of the language model."""

import re

HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
LETTERS = re.compile(r"[^\W\d_]")
HAN_SHARE = 0.3


def prompt_language(text: str) -> str:
    """``zh`` where three tenths of the letters are Han, else ``en``."""
    if text.isascii():
        return "en"
    letters = len(LETTERS.findall(text))
    return "zh" if letters and len(HAN.findall(text)) >= HAN_SHARE * letters else "en"
