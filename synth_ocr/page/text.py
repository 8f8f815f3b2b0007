"""What a label may contain: the characters that are drawn and nothing else."""

import re
import unicodedata

# U+FB00..U+FB06: Latin ligatures, single glyphs that people read as several letters
LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
BLANKS = dict.fromkeys([*range(0x2000, 0x200B), 0x00A0, 0x1680, 0x202F, 0x205F, 0x3000, 0x0009, 0x000A, 0x000B, 0x000C,
                        0x000D, 0x0085, 0x2028, 0x2029], " ")  # fmt: skip
# invisible: joiners, direction marks, variation selectors, the byte order mark, soft hyphens, tags
INVISIBLE = dict.fromkeys(
    [0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0, *range(0x200B, 0x2010),
     *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0200)]
)  # fmt: skip
REPLACEMENTS = {**LIGATURES, **BLANKS, **INVISIBLE}
SOFT_HYPHEN = "\u00ad"

LATIN_EXTENDED = re.compile("[\u0100-\u024f]")  # paper, section 5.5, step 5: Extended-A and -B
PRIVATE_USE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")
UNKNOWN = re.compile("[\ufffd\ufffc]")
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
SCRIPTS = {
    "Han": HAN, "Latin": re.compile("[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\uff21-\uff3a\uff41-\uff5a]"),
    "digits": re.compile(r"\d"), "Kana": re.compile("[\u3041-\u30fa\u30fc-\u30ff]"), "Hangul": re.compile("[\uac00-\ud7a3]"),
    "Greek": re.compile("[\u0370-\u03ff]"), "Cyrillic": re.compile("[\u0400-\u052f]"),
    "Hebrew": re.compile("[\u05d0-\u05ea]"), "Arabic": re.compile("[\u0620-\u064a]"), "signs": re.compile(r"(?!_)[^\w\s]|_"),
}  # fmt: skip
LETTER = re.compile(r"[^\W_]")
WIDE = re.compile(
    "[\u2e80-\u303f\u31c0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003ffff]"
)


def clean(text: str) -> str:
    """The label of drawn text: NFC, ligatures as letters, no invisible characters, single spaces, stripped.

    A soft hyphen at the end of a line is drawn, so it becomes a hyphen.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    if text.rstrip().endswith(SOFT_HYPHEN):
        text = text.rstrip()[:-1] + "-"
    text = unicodedata.normalize("NFC", text.translate(REPLACEMENTS))
    return " ".join("".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs", "Cn")).split())


def joined(left: str, right: str) -> str:
    """Two parts of one text with a blank between them, except between two wide (Chinese) characters."""
    wide = left and right and WIDE.match(left[-1]) and WIDE.match(right[0])
    return f"{left}{right}" if wide or not left or not right else f"{left} {right}"


def runs_left(text: str) -> bool:
    """Whether the text's first letter belongs to a script that is written from right to left."""
    return (
        not text.isascii()
        and next((kind for kind in map(unicodedata.bidirectional, text) if kind in "LRAL"), "L") != "L"
    )


def language_of(text: str) -> str:
    """zh if at least one letter in ten is Han, else en. It decides the page's prompt and the statistics it counts in."""
    letters = LETTER.findall(text)
    return "zh" if letters and sum(1 for c in letters if HAN.match(c)) * 10 >= len(letters) else "en"


def scripts(text: str) -> dict[str, int]:
    """Number of characters by script. Blanks are not counted."""
    found = {name: len(pattern.findall(text)) for name, pattern in SCRIPTS.items()}
    found["other"] = len(text) - len(re.findall(r"\s", text)) - sum(found.values())
    return {name: count for name, count in found.items() if count}


def token_estimate(text: str) -> int:
    """An upper estimate of the number of tokens in Qwen's vocabulary, for common text.

    Two per wide character, one per two other letters, one per sign. A data build does not depend on the tokenizer itself.
    """
    wide = len(WIDE.findall(text))
    plain = re.findall(r"[A-Za-z]+|[^A-Za-z\s]", WIDE.sub(" ", text))
    return 2 * wide + sum((len(piece) + 1) // 2 if piece.isascii() else 2 for piece in plain)
