"""Untrusted pages in one browser: confined, limited in time, without traces, with the same bytes every time."""

from pathlib import Path

import psutil
import pytest

from qvl.synth_ocr.html import browser
from qvl.synth_ocr.html.browser import ORIGIN, shared_browser
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.isolation import executable
from qvl.synth_ocr.html.render import PagesTask, read_page, render_pages
from qvl.synth_ocr.html.responses import Job, is_static
from tests.synth_ocr.html.rendering import LAX, VIEW, job, read, texts

pytestmark = pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")
STATE = (
    "<p id=r></p><script>let seen=[localStorage.n||0,sessionStorage.n||0,window.name||0,document.cookie||0,"
    "history.length].join('');"
    "localStorage.n=9;sessionStorage.n=9;window.name=9;document.cookie='a=9';setInterval(()=>{localStorage.n=8},1);"
    "onbeforeunload=()=>'stay';indexedDB.databases().then(all=>{r.textContent='Seen '+seen+all.length;"
    "indexedDB.open('left')});"
    "let n=0;(function wait(){if(r.textContent||n++>99)return;const i=new Image();i.onerror=wait;i.src='w'+n})()</script>"
)  # requests for pictures delay the page's load event until the text is there


def test_page_with_an_endless_script_is_a_verdict_and_the_next_page_is_read() -> None:
    view = View(600, 400, 1.0, 2.0, True)
    pages = ((job("<script>while (true) {}</script>"), view), (job("<p>alive</p>"), view))
    outcomes = list(render_pages(PagesTask(pages, LAX)))
    assert [outcome.verdict for outcome in outcomes] == ["unreadable:time", "keep"]


def test_browser_when_killed_loses_no_page() -> None:
    pages = tuple((job(f"<p>Page number {number}</p>"), VIEW) for number in range(3))
    straight = [outcome.jpeg for outcome in render_pages(PagesTask(pages, LAX))]
    outcomes = []
    for number, outcome in enumerate(render_pages(PagesTask(pages, LAX))):
        outcomes.append(outcome)
        if number == 0:
            running = [each for each in psutil.Process().children(recursive=True) if "chrom" in each.name()]
            assert running
            for process in running:
                process.kill()
    assert [outcome.verdict for outcome in outcomes] == ["keep"] * 3
    assert [outcome.jpeg for outcome in outcomes] == straight


def test_page_when_it_requests_other_files_and_hosts_gets_nothing() -> None:
    body = "<img src='http://example.com/a.png'><iframe src='file:///etc/passwd' width=300 height=100></iframe>"
    page = read(body)
    assert not any("root:" in text for text in texts(page))


def test_context_is_replaced_after_some_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "RENEW", 2)
    shared_browser().close()
    answers = {ORIGIN: ("text/html", b"<body style='font:20px DejaVu Sans'><p>Same page</p><script>1</script>")}
    contexts = list[object]()  # referenced, so that no two get the same identity
    for _ in range(6):
        read_page(Job("k", ORIGIN, "", answers), VIEW, LAX)
        contexts += [held.tab.context for held in shared_browser()._tabs.values()]
    assert len(contexts) == len(set(contexts)) <= 3  # the second of every two pages ends the context


def test_page_with_random_numbers_and_clock_gives_equal_bytes() -> None:
    body = "<p id=r></p><script>r.textContent = 'Chance ' + Math.random() + ' ' + Date.now()</script>"
    first, second = (next(render_pages(PagesTask(((job(body), VIEW),), LAX))) for _ in range(2))
    assert first.jpeg == second.jpeg and first.jpeg


def test_template_page_runs_no_scripts_and_leaves_no_state() -> None:
    page = (
        "<!doctype html><body style='font:20px DejaVu Sans'><p id=r>Own {}</p><script>r.textContent='Script'</script>"
    )
    jobs_ = [Job("k", f"{ORIGIN}{n}", content=page.format(n)) for n in range(2)]
    assert [texts(read_page(each, VIEW, LAX)) for each in jobs_] == [["Own 0"], ["Own 1"]]
    again = [read_page(each, VIEW, LAX) for each in (jobs_[0], jobs_[1], jobs_[0])]
    assert (again[0].image == again[2].image).all()


def test_untrusted_page_leaves_no_state() -> None:
    """Pages of one archive share a tab; each sees an empty browser."""
    answers = {f"{ORIGIN}{n}": ("text/html", f"<body style='font:20px DejaVu Sans'>{STATE}".encode()) for n in range(3)}
    pages = [read_page(Job("k", url, "", answers), VIEW, LAX) for url in answers]
    assert [texts(page) for page in pages] == [["Seen 000020"]] * 3


def test_static_page_is_shown_without_scripts_and_sees_no_history() -> None:
    """Links to pages that were shown before look like other links, even after a page that stored something."""
    body = "<!doctype html><body style='font:20px DejaVu Sans'><p><a href={}>To the next page</a></p>"
    answers = {f"{ORIGIN}{n}": ("text/html", body.format((n + 1) % 2).encode()) for n in range(2)}
    answers[f"{ORIGIN}2"] = ("text/html", f"<body style='font:20px DejaVu Sans'>{STATE}".encode())
    assert [is_static(Job("k", url, "", answers)) for url in answers] == [True, True, False]
    pages = [read_page(Job("k", f"{ORIGIN}{n}", "", answers), VIEW, LAX) for n in (0, 1, 0, 2, 0, 2)]
    assert all((pages[number].image == pages[0].image).all() for number in (1, 2, 4))
    assert texts(pages[3]) == texts(pages[5]) == ["Seen 000020"]


def test_page_after_one_of_another_size_is_unchanged() -> None:
    answers = {
        ORIGIN: ("text/html", b"<body style='font:20px DejaVu Sans'><p>Some words that wrap on narrow screens</p>")
    }
    views = [View(width, 400, 1.0, 5.0, True) for width in (500, 200, 500)]
    for each in (Job("k", ORIGIN, "", answers), Job("k", ORIGIN, content=answers[ORIGIN][1].decode())):
        wide, narrow, again = (read_page(each, view, LAX) for view in views)
        assert wide.image.shape == (400, 500, 3) and narrow.image.shape == (400, 200, 3)
        assert len(wide.lines) == 1 < len(narrow.lines)
        assert (wide.image == again.image).all()


def test_one_url_in_two_folders_is_two_files(tmp_path: Path) -> None:
    for number, colour in enumerate(("rgb(200,0,0)", "rgb(0,0,200)")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.css").write_text(f"p {{ color: {colour}; font: 40px DejaVu Sans }}")
        (folder / "a.html").write_text("<link rel=stylesheet href=a.css><p>Same address</p>")
    for number in (0, 1, 0):
        page = read_page(Job("k", f"{ORIGIN}a.html", str(tmp_path / str(number))), VIEW, LAX)
        assert texts(page) == ["Same address"]
        darkest = page.image.reshape(-1, 3)[page.image.reshape(-1, 3).sum(axis=1).argmin()]
        assert int(darkest.argmax()) == (2 if number else 0)


def test_responses_of_an_archive_reach_frames_and_other_origins() -> None:
    """A style sheet of another origin inside a frame, and a font of a third origin that requires CORS headers."""
    font = Path("/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf").read_bytes()
    css = b"@font-face{font-family:Far;src:url(http://fonts.invalid/f.ttf)}p{font:20px Far;text-transform:uppercase}"
    answers = {
        ORIGIN: ("text/html", b"<iframe src=/frame width=400 height=90></iframe>"),
        f"{ORIGIN}frame": ("text/html", b"<link rel=stylesheet href='http://css.invalid/s.css'><p>Far away"),
        "http://css.invalid/s.css": ("text/css", css), "http://fonts.invalid/f.ttf": ("font/ttf", font),
    }  # fmt: skip
    page = read_page(Job("k", ORIGIN, "", answers), VIEW, LAX)
    assert texts(page) == ["FAR AWAY"] and page.fonts == ["DejaVu Sans Mono"]


def test_context_after_frames_of_another_origin_is_replaced() -> None:
    answers = {
        ORIGIN: ("text/html", b"<p style='font:20px DejaVu Sans'>Holder</p><iframe src='http://other.invalid/'></iframe>"),
        "http://other.invalid/": ("text/html", b"<script>localStorage.n=9</script>"),
        "http://other.invalid/page": ("text/html", b"<p id=r style='font:20px DejaVu Sans'></p><script>"
                                      b"r.textContent='Seen '+(localStorage.n||0)</script>"),
    }  # fmt: skip
    assert texts(read_page(Job("k", ORIGIN, "", answers), VIEW, LAX)) == ["Holder"]
    assert texts(read_page(Job("k", "http://other.invalid/page", "", answers), VIEW, LAX)) == ["Seen 0"]
