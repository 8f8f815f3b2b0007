"""HTML traps, one page each: visible text is labelled as it is drawn, hidden text is not labelled."""

import numpy as np
import pytest

from qvl.synth_ocr.html.browser import ORIGIN
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.isolation import executable
from qvl.synth_ocr.html.render import PagesTask, read_page, render_pages
from qvl.synth_ocr.html.responses import Job
from qvl.synth_ocr.page.geometry import heading, is_sound
from qvl.synth_ocr.page.rules import PageRules
from tests.synth_ocr.html.rendering import GENUINE, LAX, VIEW, job, read, texts

pytestmark = pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")
HIDDEN = {
    "white": "<p style='color:#fff'>HIDDEN</p>",
    "near white": "<p style='color:#f9f9f9'>HIDDEN</p>",
    "transparent": "<p style='color:transparent'>HIDDEN</p>",
    "black on black": "<p style='background:#000;color:#000'>HIDDEN</p>",
    "opacity": "<p style='opacity:0'>HIDDEN</p>",
    "visibility": "<p style='visibility:hidden'>HIDDEN</p>",
    "display": "<p style='display:none'>HIDDEN</p>",
    "clip-path": "<p style='clip-path:inset(100%)'>HIDDEN</p>",
    "sr-only": "<p style='position:absolute;width:1px;height:1px;overflow:hidden;clip:rect(0,0,0,0)'>HIDDEN</p>",
    "overflow": "<div style='height:0;overflow:hidden'>HIDDEN</div>",
    "covered": "<div style='position:relative'>HIDDEN<div style='position:absolute;inset:0;background:#8ac'></div></div>",
    "closed details": "<details><summary></summary>HIDDEN</details>",
    "far away": "<p style='position:absolute;left:-9999px'>HIDDEN</p>",
    "indent": "<p style='text-indent:-9999px;overflow:hidden'>HIDDEN</p>",
    "size zero": "<p style='font-size:0'>HIDDEN</p>",
    "scale zero": "<p style='transform:scale(0)'>HIDDEN</p>",
    "noscript": "<noscript>HIDDEN</noscript>",
    "hidden attribute": "<p hidden>HIDDEN</p>",
    "comment and script": "<!-- HIDDEN --><script>var x = 'HIDDEN'</script><style>/* HIDDEN */</style>",
    "white inside a shadow": "<div id=h></div><script>h.attachShadow({mode:'open'}).innerHTML="
    "'<p style=color:white>HIDDEN</p>'</script>",
    "white in a frame": "<iframe srcdoc='<p style=color:white>HIDDEN' width=200 height=60 style='border:0'></iframe>",
    "inline important white": "<p style='color:#fff !important'>HIDDEN</p>",
}  # fmt: skip
SHOWN = {
    "upper case": ("<p style='text-transform:uppercase'>lower</p>", ["LOWER"]),
    "dots": ("<p style='-webkit-text-security:disc'>SECRET</p>", None),
    "list markers": ("<ol><li>First<li>Second</ol>", ["1. First", "2. Second"]),
    "before": ("<style>.b::before{content:'BEFORE '}</style><p class=b>after", ["BEFORE after"]),
    "open shadow": ("<div id=h></div><script>h.attachShadow({mode:'open'}).innerHTML='<p>Open</p>'</script>", ["Open"]),
    "closed shadow": ("<div id=h></div><script>h.attachShadow({mode:'closed'}).innerHTML='<p>In closed</p>'</script>",
                      ["In closed"]),
    "frame": ("<iframe srcdoc='<p>Inside frame' width=300 height=90></iframe>", ["Inside frame"]),
    "wrapped": ("<p style='width:200px'>several words that wrap on lines</p>", ["several words that", "wrap on lines"]),
    "inline parts": ("<p>one <b>two</b> <i>three</i></p>", ["one two three"]),
    "chinese": ("<p style='font-family:Noto Sans CJK SC'>中文<b>段落</b>文字</p>", ["中文段落文字"]),
    "nbsp and entities": ("<p>a&nbsp;b &lt; c</p>", ["a b < c"]),
    "zero width": ("<p>zero\u200bwidth\ufeff</p>", ["zerowidth"]),
    "red on green": ("<p style='background:#008200;color:#f00'>Equal luminance</p>", ["Equal luminance"]),
    "white on dark": ("<p style='background:#113;color:#fff'>White on dark</p>", ["White on dark"]),
    "button": ("<button style='font-size:20px'>Press here</button>", ["Press here"]),
    "svg": ("<svg width=200 height=50><text x=5 y=30 font-size=20>Drawn text</text></svg>", ["Drawn text"]),
    "open details": ("<details open><summary>Summary</summary>Content</details>", None),
    "cells": ("<table><tr><td style='width:200px'>Left<td>Right</table>", ["Left", "Right"]),
    "letter spacing": ("<p style='letter-spacing:4px'>Spaced out</p>", ["Spaced out"]),
    "underline": ("<p><u>Under lined</u></p>", ["Under lined"]),
    "fill in line": ("<p style='-webkit-text-fill-color:#000'>Own fill</p>", ["Own fill"]),
    "current colour": ("<p style='border:3px solid;color:#00f'>Bordered</p>", ["Bordered"]),
    "soft hyphen": ("<p style='width:100px'>extra&shy;ordinary</p>", ["extra-", "ordinary"]),
    "right to left": ("<p dir=rtl style='font-family:DejaVu Sans'>שלום</p>", ["שלום"]),
    "right to left with digits": (
        "<p dir=rtl style='font-family:DejaVu Sans'>שלום 123 <b>עולם</b> טוב</p>", ["שלום 123 עולם טוב"]),
    "arabic": ("<p dir=rtl style='font-family:DejaVu Sans'>مرحبا بالعالم</p>", ["مرحبا بالعالم"]),
    "clamped lines": ("<p style='width:200px;display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;"
                      "overflow:hidden'>one two three four five six seven eight nine ten eleven twelve</p>",
                      ["one two three four", "five six seven eight"]),
    "fixed in place": ("<div style='position:fixed;top:150px;background:#fff'>Fixed header</div>", ["Fixed header"]),
    "zoom and fractions": ("<p style='zoom:1.5;margin-left:10.4px;translate:0.3px'>Fractions</p>", ["Fractions"]),
    "scrolled frame": ("<iframe srcdoc=\"<body style='font:20px DejaVu Sans'><div style='height:300px'></div><p>In view</p>"
                       "<div style='height:300px'></div><script>scrollTo(0,280)</script>\" width=300 height=90></iframe>",
                       ["In view"]),
    "half covered": ("<div style='position:relative;width:200px'>HALFCOVERED<div style='position:absolute;left:70px;right:0;"
                     "top:0;bottom:0;background:#fff'></div></div>", []),
    "below the screen": ("<div style='height:302px'></div><p>" + "cut by the bottom edge " + "</p>", []),
}  # fmt: skip
CLIPPED = "background:linear-gradient(90deg,#c00,#00c);background-clip:text;color:transparent;font-size:30px"


@pytest.mark.parametrize("name", HIDDEN)
def test_text_when_hidden_is_not_labelled(name: str) -> None:
    page = read(HIDDEN[name])
    assert [text for text in texts(page) if text not in ("▸", "▶")] == [GENUINE]


@pytest.mark.parametrize("name", SHOWN)
def test_text_when_visible_is_labelled_as_it_is_drawn(name: str) -> None:
    body, expected = SHOWN[name]
    page = read(body)
    if expected is None:
        assert "SECRET" not in texts(page)
    else:
        assert texts(page) == [GENUINE, *expected]
    if name != "half covered":
        assert page.unlabelled_ink < 0.02
    assert all(is_sound(line.quad) for line in page.lines)


@pytest.mark.parametrize(
    "body",
    [
        "<input value='typed in' style='font-size:20px'>", "<textarea style='font-size:20px'>area text</textarea>",
        "<input placeholder='holder' style='font-size:20px'>", "<select style='font-size:20px'><option>chosen</select>",
    ],
)  # fmt: skip
def test_form_controls_are_empty_on_the_picture(body: str) -> None:
    page = read(body)
    assert texts(page) == [GENUINE] and page.unlabelled_ink < 0.02
    below = page.image[80:]
    assert (below[:, 30:].max(axis=2) < 60).sum() < 60  # borders and the arrow of a list are grey


def test_words_of_right_to_left_text_have_their_own_boxes() -> None:
    (words,) = (line.words for line in read("<p dir=rtl>שלום 123 עולם</p>").lines if line.text != GENUINE)
    assert [word.text for word in words] == ["שלום", "123", "עולם"]
    edges = [(word.quad[:, 0].min(), word.quad[:, 0].max()) for word in words]
    assert edges[0][0] > edges[1][1] and edges[1][0] > edges[2][1]


@pytest.mark.parametrize("width", [90, 120, 150, 180, 210])
def test_line_that_would_end_in_an_ellipsis_is_not_shown(width: int) -> None:
    style = f"width:{width}px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
    page = read(f"<p style='{style}'>Shown and then cut</p><p style='{style}'>Whole</p>")
    assert texts(page) == [GENUINE, *(["Shown and then cut"] if width > 200 else []), "Whole"]
    assert page.unlabelled_ink == 0


@pytest.mark.parametrize("width", [150, 170, 190, 210, 230])
def test_clamped_lines_have_no_ellipsis(width: int) -> None:
    """The rendered tree contains the whole word even if only its first letters and an ellipsis are drawn."""
    style = f"width:{width}px;display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden"
    words = "one two three four five six seven eight nine ten eleven twelve thirteen"
    page = read(f"<p style='{style}'>{words}</p>")
    _, *lines = page.lines
    assert len(lines) == 2 and page.unlabelled_ink == 0 and words.startswith(" ".join(line.text for line in lines))
    low = page.image[int(lines[1].quad[0][1]) : int(lines[1].quad[2][1]) + 1]
    ink = np.flatnonzero((low.min(axis=2) < 200).any(axis=0))
    plain = read(f"<p>{lines[1].text}</p>").lines[1]
    assert abs(np.ptp(ink) + 1 - np.ptp(plain.quad[:, 0])) <= 1


def test_boxes_when_the_page_is_scrolled_follow_it() -> None:
    page = read("<div style='height:900px'></div><p>At the end</p><script>scrollTo(0,9999)</script>")
    (line,) = page.lines
    rows = np.flatnonzero((page.image.min(axis=2) < 200).any(axis=1))
    assert line.text == "At the end" and abs(line.quad[0][1] - rows.min()) <= 1 >= abs(line.quad[2][1] - rows.max() - 1)


def test_pictures_that_load_late_are_drawn() -> None:
    picture = (
        b"<svg xmlns='http://www.w3.org/2000/svg' width='90' height='40'><path d='M0 0h90v40H0' fill='red'/></svg>"
    )
    body = f"<body style='font:20px DejaVu Sans'><p>{GENUINE}</p><img loading=lazy src=/i.svg>".encode()
    answers = {ORIGIN: ("text/html", body), f"{ORIGIN}i.svg": ("image/svg+xml", picture)}
    page = read_page(Job("k", ORIGIN, "", answers), VIEW, LAX)
    red = (page.image[..., 0] > 200) & (page.image[..., 1] < 60)
    assert red.sum() == 90 * 40


def test_frames_are_stabilized_like_the_page() -> None:
    inside = (
        "<body style='font:20px DejaVu Sans'><input value='typed in'><style>@keyframes m{to{margin-left:300px}}</style>"
    )
    inside += "<p style='animation:m 1ms forwards'>Still here</p>"
    page = read(f'<iframe srcdoc="{inside}" width=400 height=120 style="border:0"></iframe>')
    assert texts(page) == [GENUINE, "Still here"] and page.unlabelled_ink < 0.02
    assert page.lines[1].quad[0][0] < 40


def test_text_when_turned_has_a_turned_tight_quad() -> None:
    page = read("<div style='transform:rotate(30deg);width:160px;margin:60px'>Turned text</div>")
    line = next(line for line in page.lines if line.text == "Turned text")
    dx, dy = heading(line.quad)
    assert abs(np.degrees(np.arctan2(dy, dx)) - 30) < 1
    assert line.pixel_height < 30 and line.ink_share > 0.15


def test_vertical_chinese_starts_at_the_top_left_of_its_first_character() -> None:
    page = read("<div style='writing-mode:vertical-rl;font-family:Noto Sans CJK SC;height:150px'>竖排文字</div>")
    line = next(line for line in page.lines if line.text == "竖排文字")
    assert line.quad[0].tolist() == line.quad.min(axis=0).tolist()
    assert np.ptp(line.quad[:, 1]) > 2 * np.ptp(line.quad[:, 0])


def test_boxes_at_scale_two_surround_the_ink_as_well() -> None:
    for scale in (1.0, 2.0):
        page = read("", view=View(600, 400, scale, 5.0, True))
        (line,) = page.lines
        rows, columns = np.nonzero(page.image.min(axis=2) < 200)
        (x0, y0), (x1, y1) = line.quad.min(axis=0), line.quad.max(axis=0)
        assert (
            max(abs(x0 - columns.min()), abs(x1 - columns.max() - 1), abs(y0 - rows.min()), abs(y1 - rows.max() - 1))
            <= 1
        )


def test_characters_without_a_font_are_dropped_and_private_ones_reject_the_page() -> None:
    assert texts(read("<p>\U000107ff tofu</p>")) == [GENUINE]
    rules = PageRules(minimum_characters=1, unlabelled_ink=1.0, minimum_side=1)
    (outcome,) = render_pages(PagesTask(((job("<p>\ue000\ue001</p>"), VIEW),), rules))
    assert outcome.verdict == "private_use"
    (outcome,) = render_pages(PagesTask(((job("<p>Zażółć gęślą</p>"), VIEW),), rules))
    assert outcome.verdict == "keep"


def test_animations_and_carets_stand_still() -> None:
    body = (
        "<style>@keyframes m{from{margin-left:0}to{margin-left:300px}}p.m{animation:m 0.3s infinite}</style>"
        "<p class=m>Moving text</p><input autofocus>"
    )
    first, second = (read(body) for _ in range(2))
    assert (first.image == second.image).all()
    moving = next(line for line in first.lines if line.text == "Moving text")
    assert moving.quad[0][0] < 40


def test_canvas_is_not_labelled() -> None:
    canvas = "<canvas id=c width=300 height=60></canvas><script>const x=c.getContext('2d');x.font='30px DejaVu Sans';"
    assert texts(read(canvas + "x.fillText('CANVAS',5,40)</script>")) == [GENUINE]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"<p style='{CLIPPED}'>Filled <b>by a</b> picture</p>", ["Filled by a picture"]),
        (f"<style>.b::before{{content:'Before ';{CLIPPED}}}</style><p class=b>after", ["Before after"]),
        (f"<iframe srcdoc=\"<p style='{CLIPPED}'>In a frame\" width=300 height=90></iframe>", ["In a frame"]),
        (f"<div id=h></div><script>h.attachShadow({{mode:'closed'}}).innerHTML=\"<p style='{CLIPPED}'>In shadow\"</script>",
         ["In shadow"]),
        ("<p style='background:#fff;background-clip:text;color:transparent'>HIDDEN</p>", []),
    ],
)  # fmt: skip
def test_text_when_filled_by_its_background_is_labelled(body: str, expected: list[str]) -> None:
    page = read(body)
    assert texts(page) == [GENUINE, *expected] and page.unlabelled_ink < 0.02


def test_text_when_filled_by_one_of_two_backgrounds_rejects_the_page() -> None:
    both = "background:linear-gradient(#c00,#00c) text,#fe8 border-box;color:transparent;font-size:30px"
    assert read(f"<p style='{both}'>Upon another</p>").unlabelled_ink > 0.5


def test_fonts_are_those_that_drew_the_page() -> None:
    page = read("<p style='font-family:Noto Sans CJK SC'>中文段落</p>")
    assert {"DejaVu Sans", "Noto Sans CJK SC"} <= set(page.fonts)


def test_chinese_text_with_a_language_is_drawn_with_fonts_of_its_region() -> None:
    for language, family in (("zh-CN", "Noto Sans CJK SC"), ("zh-TW", "Noto Sans CJK TC")):
        assert family in read(f"<p lang={language}>骨直门門中文段落一二三四五六七八九十</p>").fonts


def test_long_page_loses_only_what_is_far_below_the_screen() -> None:
    body = "".join(f"<p>Line number {number}</p>" for number in range(400))
    seen = texts(read(body))
    assert seen[:4] == [GENUINE, "Line number 0", "Line number 1", "Line number 2"] and len(seen) < 12


def test_lines_that_continue_in_the_next_column_are_labelled_or_count_as_unlabelled_ink() -> None:
    page = read("<div style='columns:2;width:400px;height:60px'>" + "many words here " * 5 + "</div>")
    assert "".join(texts(page)).count("words") == 5 or page.unlabelled_ink > 0.02
