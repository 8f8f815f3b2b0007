"""Caption cleaning: rules 7 and 8 of the paper clean a caption, they never drop the row (Qwen-VL, appendix A).

The paper gives no patterns. Ours remove HTML, invisible and control characters, URLs, camera and image file names, runs of
punctuation, dangling separators and repeated blanks. Columns are cleaned as a whole; Python code runs only for captions that
contain markup or that changed. Cleaning is idempotent: a changed caption is cleaned again until it no longer changes.
"""

import html
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.recipe.cleaning import Clean

MAX_ROUNDS = 8

INLINE = "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark q s samp small span strike strong"
INLINE_TAGS = frozenset(f"{INLINE} sub sup time tt u var".split())
BLOCK = "address article aside audio blockquote body br button canvas caption center col dd details div dl dt fieldset"
BLOCK_MORE = (
    "figcaption figure footer form frame h1 h2 h3 h4 h5 h6 head header hr html iframe img input li link main map"
)
BLOCK_REST = "meta nav noscript object ol option p param picture pre script section select source style summary svg"
BLOCK_LAST = "table tbody td textarea tfoot th thead title tr ul video wbr"
BLOCK_TAGS = frozenset(f"{BLOCK} {BLOCK_MORE} {BLOCK_REST} {BLOCK_LAST}".split())

# no opening tag may look past the next "<": a megabyte of unclosed tags would take quadratic time
OPENING = re.compile(r"<(script|style)\b[^<>]*>|<(!--)", re.IGNORECASE)
CLOSINGS = {
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
    "!--": re.compile("-->"),
}
DECLARATION = re.compile(r"<!--|<!doctype[^<>]*>|<!\[CDATA\[|\]\]>", re.IGNORECASE)
# also a tag that the end of the caption truncates, bare or with an attribute; "if a <b then c" is not a tag
TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)(?:(?:\s[^<>]*|/)?>|(?:\s+[a-zA-Z-]+\s*=[^<>]*|\s*/?)\Z)")
REPEATED_AMPERSAND = re.compile(r"&(?:amp;)+", re.IGNORECASE)
LONG_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|x[0-9a-f]{8,});?", re.IGNORECASE)  # not a character, and int() refuses it

# RE2 syntax, applied in this order to the whole column
PATTERNS: tuple[tuple[str, str], ...] = (
    (r"[\x00-\x1f\x7f-\x9f\x{2028}\x{2029}]", " "),
    (r"[\x{ad}\x{200b}\x{200e}\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2069}\x{feff}\x{fff9}-\x{fffd}]", ""),
    (r"(?i)(?:\b(?:https?|ftp)://|\bwww\.)[!-~]+", " "),
    (r"(?i)\b(?:(?:IMG|DSC[NF]?|PICT)[_-]?[0-9]{3,}|P[0-9]{7})(?:[_-][0-9]+)*(?:\.[a-z]{3,4})?\b", " "),
    (r"(?i)[!-.0-~]+\.(?:jpe?g|png|gif|webp|bmp|tiff?)\b", " "),  # names are ASCII: Chinese has no blanks around them
    (r"(?i)\.(?:jpe?g|png|gif|webp|bmp|tiff?)\b", " "),
    (r"!{2,}", "!"),
    (r"\?{2,}", "?"),
    (r"！{2,}", "！"),
    (r"？{2,}", "？"),
    (r"。{2,}", "。"),
    (r"\.{4,}", "..."),
    (r"[-=_*~#+|]{3,}", " "),
    (r"[\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]", " "),
    (r" {2,}", " "),
    (r"^[ |,;:·•>–—-]+|[ |,;:·•<–—-]+$", ""),
)


# finds every caption that a pattern would change: one pass instead of one per pattern
IRREGULAR = "|".join(f"(?:{pattern})" for pattern, _ in PATTERNS)


def clean(captions: pa.Array, settings: Clean) -> pa.Array:
    """Cleaned captions, same length and order; null stays null. ``captions`` is a string array."""
    result, unstable = _until_stable(captions, np.arange(len(captions)), settings)
    if len(unstable):  # nested deeper than real markup: remove its special characters
        plain = pc.replace_substring_regex(result.take(pa.array(unstable)), "[<>&]", " ")
        result, _ = _until_stable(_put(result, unstable, plain), unstable, settings)
    return result


def _until_stable(captions: pa.Array, changed: np.ndarray, settings: Clean) -> tuple[pa.Array, np.ndarray]:
    """Clean the captions at ``changed`` until nothing changes (a fixed point). Also returns those that still change after
    eight rounds."""
    result = captions
    for _ in range(MAX_ROUNDS):
        before = result.take(pa.array(changed))
        after = _once(before, settings)
        moved = _flags(pc.not_equal(before, after))
        result = _put(result, changed[moved], after.filter(pa.array(moved)))
        changed = changed[moved]
        if len(changed) == 0:
            break
    return result, changed


def _once(captions: pa.Array, settings: Clean) -> pa.Array:
    cleaned = _strip_html(captions) if settings.html else captions
    if not settings.patterns:
        return cleaned
    cleaned = pc.utf8_normalize(cleaned, form="NFC")
    irregular = np.flatnonzero(_flags(pc.match_substring_regex(cleaned, IRREGULAR)))
    if len(irregular) == 0:
        return cleaned
    chosen = cleaned.take(pa.array(irregular))
    for pattern, replacement in PATTERNS:
        chosen = pc.replace_substring_regex(chosen, pattern, replacement)
    return _put(cleaned, irregular, chosen)


def _flags(matches: pa.BooleanArray) -> np.ndarray:
    return pc.fill_null(matches, False).to_numpy(zero_copy_only=False)


def _strip_html(captions: pa.Array) -> pa.Array:
    marked = _flags(pc.match_substring_regex(captions, "[<&]"))
    if not marked.any():
        return captions
    texts = [strip_html(text) for text in captions.filter(pa.array(marked)).to_pylist()]
    return _put(captions, np.flatnonzero(marked), pa.array(texts, captions.type))


def strip_html(text: str) -> str:
    """Text without HTML tags, comments, scripts and entities; ``a < b`` and unknown tags such as ``<box>`` are kept.

    Inline tags are removed (``H<sub>2</sub>O`` becomes H2O); block tags become a blank. Scripts, styles and comments go with
    their content if they are closed; without an end the tag goes alone.
    """
    text = TAG.sub(_tag_gap, DECLARATION.sub(" ", _without_closed_elements(text)))
    return html.unescape(LONG_REFERENCE.sub("\ufffd", REPEATED_AMPERSAND.sub("&", text)))


def _without_closed_elements(text: str) -> str:
    """The text without closed scripts, styles and comments. Linear: a missing end is searched for only once."""
    kept: list[str] = []
    position, missing = 0, set[str]()
    for opening in OPENING.finditer(text):
        kind = (opening[1] or opening[2]).lower()
        if opening.start() < position or kind in missing:
            continue
        closing = CLOSINGS[kind].search(text, opening.end())
        if closing is None:
            missing.add(kind)
            continue
        kept += [text[position : opening.start()], " "]
        position = closing.end()
    return "".join([*kept, text[position:]]) if kept else text


def _tag_gap(match: re.Match[str]) -> str:
    name = match[1].lower()
    if name in INLINE_TAGS:
        return ""
    return " " if name in BLOCK_TAGS else match[0]


def _put(column: pa.Array, positions: np.ndarray, values: pa.Array) -> pa.Array:
    mask = np.zeros(len(column), bool)
    mask[positions] = True
    return pc.replace_with_mask(column, pa.array(mask), values)
