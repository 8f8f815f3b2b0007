"""Letters by script, words and emoji of captions, counted for a whole batch at once.

All captions are joined to one array of code points. A table of code point classes and segment sums give the counts, so no
Python code runs per row.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import regex

from qvl.pipeline.base.arrays import Floats, Ints, segment_sums

SPACE, LATIN, HAN, OTHER_LETTER, DIGIT, EMOJI = 1, 2, 4, 8, 16, 32
EMOJI_IN_TEXT_STYLE = 64
REGIONAL = 128

ZERO_WIDTH_JOINER = 0x200D
EMOJI_STYLE = 0xFE0F
TEXT_STYLE = 0xFE0E
KEYCAP = 0x20E3
SKIN_TONES = range(0x1F3FB, 0x1F400)


@dataclass(frozen=True)
class TextCounts:
    """Per caption: characters, words and emoji (int32), and each script's share of the letters (float32).

    The three shares add up to 1, or are all 0 if there are no letters.
    """

    characters: Ints
    words: Ints
    emoji: Ints
    latin: Floats
    han: Floats
    other: Floats


@cache
def classes() -> np.ndarray:
    """One byte of class bits per code point (1,114,112 bytes), from the tables of ``regex``. Takes about 1 s, once."""
    points = np.arange(0x110000, dtype="<u4")
    points[0xD800:0xE000] = ord("x")  # surrogates cannot be decoded
    text = points.tobytes().decode("utf-32-le")
    table = np.zeros(0x110000, np.uint8)
    for pattern, bit in (
        (r"\s+", SPACE),
        (r"[\p{L}&&\p{Script=Latin}]+", LATIN),
        (r"[[\p{L}\p{Nl}\p{So}\u3005\u3007]&&\p{Script=Han}]+", HAN),
        # the micro sign and modifier letters occur in English text (5 µm, Hawaiʻi)
        (r"[\p{L}--\p{Script=Latin}--\p{Script=Han}--[\u00b5\u02b9-\u02ff]]+", OTHER_LETTER),
        (r"\p{N}+", DIGIT),
        (r"[\p{Emoji_Presentation}--\p{Regional_Indicator}]+", EMOJI),
        (r"[\p{Emoji}--\p{Emoji_Presentation}--[#*0-9]]+", EMOJI_IN_TEXT_STYLE),
        (r"\p{Regional_Indicator}+", REGIONAL),
    ):
        for match in regex.finditer(pattern, text, regex.V1):
            table[match.start() : match.end()] |= bit
    table[0xD800:0xE000] = 0
    return table


def count(captions: list[str]) -> TextCounts:
    """Counts of cleaned captions. Lone surrogates raise UnicodeEncodeError; they cannot come from valid UTF-8.

    Each Han character or kana is a word. In other text, a word is a run of non-blank characters with a letter or digit.
    """
    lengths = np.fromiter(map(len, captions), np.int64, len(captions))
    # a blank in front of each caption separates it from the one before and gives an empty caption a segment
    points = np.frombuffer((" " + " ".join(captions)).encode("utf-32-le") if captions else b"", "<u4")
    starts = np.zeros(len(captions), np.int64)
    np.cumsum(lengths[:-1] + 1, out=starts[1:])
    kinds = classes()[points]
    latin, han, other = (segment_sums((kinds & bit) != 0, starts) for bit in (LATIN, HAN, OTHER_LETTER))
    letters = np.maximum(latin + han + other, 1)
    return TextCounts(
        characters=lengths.astype(np.int32),
        words=segment_sums(_word_starts(points, kinds), starts).astype(np.int32),
        emoji=segment_sums(_emoji_starts(points, kinds), starts).astype(np.int32),
        latin=(latin / letters).astype(np.float32),
        han=(han / letters).astype(np.float32),
        other=(other / letters).astype(np.float32),
    )


def _word_starts(points: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """True once per word: at each Han character or kana, and at the first letter or digit of every other run."""
    single = ((kinds & HAN) != 0) | ((points >= 0x3041) & (points <= 0x30FF) & ((kinds & OTHER_LETTER) != 0))
    carrier = ((kinds & (LATIN | OTHER_LETTER | DIGIT)) != 0) & ~single
    boundary = ((kinds & SPACE) != 0) | single
    run = np.cumsum(boundary)
    positions = np.flatnonzero(carrier)
    starts = np.zeros(len(points), bool)
    starts[positions[np.flatnonzero(np.diff(run[positions], prepend=-1))]] = True
    return starts | single


def _emoji_starts(points: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """True once per emoji sequence.

    Joined parts (ZWJ) and skin tones belong to the emoji before them. Two regional indicators make one flag. A digit is an
    emoji only if a keycap follows it, and a sign like U+2764 or U+00A9 only with the emoji variation selector. The text
    variation selector turns any of them into text.
    """
    found = np.zeros(len(points), bool)
    at = np.flatnonzero((kinds & (EMOJI | EMOJI_IN_TEXT_STYLE | REGIONAL)) | (points == KEYCAP))
    if len(at) == 0:
        return found
    here, kind, before = points[at], kinds[at], points[np.maximum(at - 1, 0)]
    after = points[np.minimum(at + 1, len(points) - 1)]
    tone = (here >= SKIN_TONES.start) & (here < SKIN_TONES.stop)
    joined = before == ZERO_WIDTH_JOINER
    plain = ((kind & EMOJI) != 0) & (after != TEXT_STYLE) & ~joined & ~tone
    styled = ((kind & EMOJI_IN_TEXT_STYLE) != 0) & (after == EMOJI_STYLE) & ~joined
    found[at] = plain | styled | (here == KEYCAP) | _flag_starts(at, (kind & REGIONAL) != 0)
    return found


def _flag_starts(at: np.ndarray, regional: np.ndarray) -> np.ndarray:
    """Every other regional indicator of an unbroken run, beginning with the first."""
    first = regional & (np.diff(at, prepend=-2) != 1) | (regional & ~np.concatenate(([False], regional[:-1])))
    index = np.arange(len(at))
    run = np.maximum.accumulate(np.where(first, index, 0))
    return regional & ((index - run) % 2 == 0)
