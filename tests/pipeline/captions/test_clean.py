"""Caption cleaning: what is removed, what stays, and properties that hold for every text."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qvl.pipeline.captions.clean import clean
from qvl.pipeline.recipe.cleaning import Clean

IRREGULAR = ["Cc", "Zl", "Zp"]
PIECES = [
    *("<", ">", "&", "</", "/>", "b>", "<b>", "<p ", "&lt;", "&amp;", "amp;", "lt;", "&#60;", "&#x3C", "<script>"),
    *("</script", "<!--", "-->", "]]>", "<!doctype ", "=", '"', "IMG_1234", ".jpg", "www.", "http://", "---", "!!"),
    *("\u200b", "\u00ad", "e\u0301", "\u0958", "\u3000", "\0", " ", "a", "中", "|", "_", "P1234567"),
]
MARKUP = st.lists(st.sampled_from(PIECES), max_size=24).map("".join)
ANY_TEXT = st.text(max_size=200) | MARKUP


def cleaned(text: str, settings: Clean | None = None) -> str:
    result = clean(pa.array([text], pa.string()), settings or Clean())
    return str(result[0].as_py())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a dog\x00 and\x07 a cat", "a dog and a cat"),
        ("line one\nline two\ttab\u2028end", "line one line two tab end"),
        ("soft\u00adhyphen, zero\u200bwidth, \ufeffmark, \u202ebidi", "softhyphen, zerowidth, mark, bidi"),
        ("see https://example.org/a?b=c#d for more", "see for more"),
        ("from www.example.org today", "from today"),
        ("ftp://host/file and text", "and text"),
        ("IMG_1234.JPG", ""),
        ("sunset DSC00012 at sea", "sunset at sea"),
        ("PICT0042 garden", "garden"),
        ("P1010203 harbour", "harbour"),
        ("holiday/beach-2019.jpeg on the coast", "holiday/ on the coast"),
        ("wow!!!! really???", "wow! really?"),
        ("太好了！！！真的？？。。", "太好了！真的？。"),
        ("and so on.......", "and so on..."),
        ("left ---- right ==== end ****", "left right end"),
        ("a\u00a0b\u3000c\u2003d", "a b c d"),
        ("  many    blanks  ", "many blanks"),
        ("| - a dog · - |", "a dog"),
        ("cafe\u0301", "café"),
    ],
)
def test_clean_removes_irregular_characters_addresses_and_file_names(raw: str, expected: str) -> None:
    assert cleaned(raw) == expected


@pytest.mark.parametrize(
    "text",
    [
        "A dog, a cat & a bird (2019).",
        "Dr. Smith's 3.5 mm jack",
        "Volvo P1800 coupe beside a P100 respirator",
        "image of IMG tags",
        "http is a protocol",
        "What?! No...",
        "C++ and C# -- a comparison",
        "jpg versus png",
        "#dog #cat 50% off",
        "a_b-c~d",
        "北京的一只猫。它很可爱！",
        "naïve café Übergröße",
        "family \U0001f468\u200d\U0001f469\u200d\U0001f467 portrait",
        "keycap 1\ufe0f\u20e3 here",
    ],
)
def test_clean_when_the_text_is_ordinary_changes_nothing(text: str) -> None:
    assert cleaned(text) == text


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Fish &amp; chips", "Fish & chips"),
        ("Fish &amp;amp;amp; chips", "Fish & chips"),
        ("&lt;b&gt;bold&lt;/b&gt; dog", "bold dog"),
        ("caf&eacute; &#20013;&#x6587;", "café 中文"),
        ("&copy 2020 someone", "© 2020 someone"),
        ("H<sub>2</sub>O", "H2O"),
        ("one<br>two<br/>three", "one two three"),
        ("<p>paragraph</p><p>another</p>", "paragraph another"),
        ('<a href="x" title="a > b">link</a> text', 'b">link text'),
        ('dog <img src="http://x/y.jpg" alt="z"> cat', "dog cat"),
        ("dog <b>bold", "dog bold"),
        ('dog <a href="http', "dog"),
        ("dog <br", "dog"),
        ("dog</p", "dog"),
        ("<script>alert('x')</script>dog", "dog"),
        ("<SCRIPT type=a>if (a < b) {}</SCRIPT >dog", "dog"),
        ("<style>p {color: red}</style>dog", "dog"),
        ("dog <script>never closed", "dog never closed"),
        ("How to use the &lt;script&gt; tag in your HTML page", "How to use the tag in your HTML page"),
        ("The <script> tag explained to beginners", "The tag explained to beginners"),
        ("a <SCRIPT>x</script> b <script> c <style>y</style> d", "a b c d"),
        ("北京故宫全景图高清壁纸.jpg", "北京故宫全景图高清壁纸"),
        ("一只可爱的猫坐在沙发上.jpg 免费下载高清图片素材", "一只可爱的猫坐在沙发上 免费下载高清图片素材"),
        ("春天的樱花（高清）.JPEG", "春天的樱花（高清）"),
        ("a café.png on the table", "a café on the table"),
        ("dog <script src=", "dog"),
        ("dog <!-- comment --> cat <!-- open", "dog cat open"),
        ("<!DOCTYPE html><html><body>dog</body></html>", "dog"),
        ("<![CDATA[dog]]>", "dog"),
    ],
)
def test_clean_removes_html(raw: str, expected: str) -> None:
    assert cleaned(raw) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a < b",
        "x<y and z>w",
        "1 <2> 3",
        "if a <b then c",
        "I <3 you",
        "<box>(1,2),(3,4)</box> dog",
        "<PERSON> with a dog",
        "<ref>dog</ref>",
        "AT&T and R&D",
        "x & y; z",
    ],
)
def test_clean_when_text_only_looks_like_html_changes_nothing(text: str) -> None:
    assert cleaned(text) == text


def test_clean_when_a_part_is_switched_off_skips_it() -> None:
    assert cleaned("<b>dog</b>!!", Clean(html=False)) == "<b>dog</b>!"
    assert cleaned("<b>dog</b>!!", Clean(patterns=False)) == "dog!!"
    assert cleaned(" <b>dog</b>!!", Clean(html=False, patterns=False)) == " <b>dog</b>!!"


def test_clean_keeps_null_and_empty_captions_in_position() -> None:
    column = pa.array(["<b>a</b>", None, "", "b"], pa.string())
    assert clean(column, Clean()).to_pylist() == ["a", None, "", "b"]
    assert clean(column.slice(0, 0), Clean()).to_pylist() == []


@settings(max_examples=40)
@given(st.lists(ANY_TEXT, max_size=6))
def test_clean_treats_each_caption_independently(texts: list[str]) -> None:
    whole = clean(pa.array(texts, pa.string()), Clean()).to_pylist()
    assert whole == [cleaned(text) for text in texts]


@given(ANY_TEXT)
@example("<" * 40 + "b>" * 40)
@example("<a " * 40)
@example("&#" + "9" * 5_000 + ";")
@example("&#x" + "0" * 5_000 + "41;")
@example("x___IMG_1234___DSC_123")
def test_clean_is_idempotent(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once


@given(ANY_TEXT)
def test_clean_leaves_neither_control_characters_nor_outer_blanks(text: str) -> None:
    result = cleaned(text)
    assert result == result.strip()
    assert "  " not in result
    assert not any(unicodedata.category(c) in IRREGULAR for c in result)
    assert unicodedata.is_normalized("NFC", result)


@given(ANY_TEXT)
def test_clean_never_returns_more_than_the_normalised_input(text: str) -> None:
    grown = sum(max(1, len(unicodedata.normalize("NFC", c))) for c in text)
    assert len(cleaned(text)) <= grown


WORD = st.text("abcdefghijklmnoqrstuvxyzABCEFGHJKLMNOQRSTUVXYZéüß中文猫狗的山水", min_size=1, max_size=12)


@given(st.lists(WORD, min_size=1, max_size=12), st.sampled_from(["", ".", "!", "?", "。", "..."]))
def test_clean_when_random_words_are_regular_changes_nothing(words: list[str], end: str) -> None:
    text = " ".join(words) + end
    assert cleaned(text) == text


HOSTILE = [
    *("<", "<a ", "<b", "<script ", "<style>", "<script></script ", "<!doctype ", "<!--", "<![CDATA[", "</p", "<a b="),
    *("<a b ", "&", "&amp;", "&#", "&#9", "&lt;", "&amp;lt;", "http://", "www.", "IMG_", "a.jp", "a.jpg", "a.jpg "),
    *("!", "-", "- ", "|", "\0", "\u200b", "e\u0301", "\u0301", "\u3000", "<b>", "<<b>b>", "字", "\U0001f600"),
]


@pytest.mark.timeout(150)
@pytest.mark.parametrize("piece", HOSTILE)
def test_clean_when_a_hostile_caption_is_very_long_takes_linear_time(piece: str) -> None:
    """A megabyte: linear work takes about a second, quadratic work minutes, which the timeout ends."""
    text = piece * (1_000_000 // len(piece.encode()))
    assert len(cleaned(text)) <= len(text)


@pytest.mark.timeout(150)
def test_clean_when_tags_are_nested_very_deeply_takes_linear_time() -> None:
    text = "<" * 300_000 + "b>" * 300_000 + "dog"
    result = cleaned(text)
    assert cleaned(result) == result
