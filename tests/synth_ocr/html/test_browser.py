"""Strangers' pages in one browser: confined, bounded in time, nothing left behind, the same bytes again."""

import io
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qvl.synth_ocr.html import browser
from qvl.synth_ocr.html.answers import Job, found, is_still
from qvl.synth_ocr.html.browser import ORIGIN, executable, shared
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.render import PagesTask, read_page, render_pages
from qvl.synth_ocr.html.warc import jobs
from tests.synth_ocr.html.test_traps import LAX, VIEW, job, read, texts

pytestmark = pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")


@pytest.fixture(scope="module", autouse=True)
def _close() -> Iterator[None]:
    yield
    shared().close()


def test_a_script_without_end_is_a_verdict_and_the_next_page_is_read() -> None:
    view = View(600, 400, 1.0, 2.0, True)
    pages = ((job("<script>while (true) {}</script>"), view), (job("<p>alive</p>"), view))
    started = time.monotonic()
    outcomes = list(render_pages(PagesTask(pages, LAX)))
    assert [outcome.verdict for outcome in outcomes] == ["unreadable:time", "keep"]
    assert time.monotonic() - started < 40


def test_a_browser_that_is_killed_costs_no_page() -> None:
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


def test_nothing_outside_the_page_is_reached() -> None:
    body = "<img src='http://example.com/a.png'><iframe src='file:///etc/passwd' width=300 height=100></iframe>"
    page = read(body)
    assert not any("root:" in text for text in texts(page))


def test_files_outside_the_folder_are_not_found(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a page.txt").write_text("open")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    inside = Job("k", f"{ORIGIN}a.html", str(folder))
    assert found(f"{ORIGIN}a%20page.txt#part", inside) == ("text/plain; charset=utf-8", b"open")
    for path in ("../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "link.txt", "none.txt", ""):
        assert found(ORIGIN + path, inside) is None
    assert found("http://other.invalid/a%20page.txt", inside) is None
    assert found("file:///etc/passwd", inside) is None


def test_contexts_are_new_after_some_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "RENEW", 2)
    shared().close()
    answers = {ORIGIN: ("text/html", b"<body style='font:20px DejaVu Sans'><p>Same page</p><script>1</script>")}
    contexts = list[object]()  # kept, so that none takes another one's place
    for _ in range(6):
        read_page(Job("k", ORIGIN, "", answers), VIEW, LAX)
        contexts += [held.tab.context for held in shared()._tabs.values()]
    assert len(contexts) == len(set(contexts)) <= 3  # of every two pages the second one ends the context


def test_equal_pages_give_equal_bytes() -> None:
    body = "<p id=r></p><script>r.textContent = 'Chance ' + Math.random() + ' ' + Date.now()</script>"
    first, second = (next(render_pages(PagesTask(((job(body), VIEW),), LAX))) for _ in range(2))
    assert first.jpeg == second.jpeg and first.jpeg


def test_our_own_pages_run_no_scripts_and_leave_nothing_behind() -> None:
    page = (
        "<!doctype html><body style='font:20px DejaVu Sans'><p id=r>Own {}</p><script>r.textContent='Script'</script>"
    )
    jobs_ = [Job("k", f"{ORIGIN}{n}", content=page.format(n)) for n in range(2)]
    assert [texts(read_page(each, VIEW, LAX)) for each in jobs_] == [["Own 0"], ["Own 1"]]
    again = [read_page(each, VIEW, LAX) for each in (jobs_[0], jobs_[1], jobs_[0])]
    assert (again[0].image == again[2].image).all()


STATE = (
    "<p id=r></p><script>let seen=[localStorage.n||0,sessionStorage.n||0,window.name||0,document.cookie||0,"
    "history.length].join('');"
    "localStorage.n=9;sessionStorage.n=9;window.name=9;document.cookie='a=9';setInterval(()=>{localStorage.n=8},1);"
    "onbeforeunload=()=>'stay';indexedDB.databases().then(all=>{r.textContent='Seen '+seen+all.length;"
    "indexedDB.open('left')});"
    "let n=0;(function wait(){if(r.textContent||n++>99)return;const i=new Image();i.onerror=wait;i.src='w'+n})()</script>"
)  # pictures that are waited for hold the page's load back until the text is there


def test_strangers_pages_leave_nothing_behind() -> None:
    """Pages of one archive share a tab; each sees an empty browser."""
    answers = {f"{ORIGIN}{n}": ("text/html", f"<body style='font:20px DejaVu Sans'>{STATE}".encode()) for n in range(3)}
    pages = [read_page(Job("k", url, "", answers), VIEW, LAX) for url in answers]
    assert [texts(page) for page in pages] == [["Seen 000020"]] * 3


def test_a_page_where_nothing_runs_is_shown_without_scripts_and_sees_no_history() -> None:
    """Links to pages that were shown before look like all others; so does a page after one that stored something."""
    body = "<!doctype html><body style='font:20px DejaVu Sans'><p><a href={}>To the next page</a></p>"
    answers = {f"{ORIGIN}{n}": ("text/html", body.format((n + 1) % 2).encode()) for n in range(2)}
    answers[f"{ORIGIN}2"] = ("text/html", f"<body style='font:20px DejaVu Sans'>{STATE}".encode())
    assert [is_still(Job("k", url, "", answers)) for url in answers] == [True, True, False]
    pages = [read_page(Job("k", f"{ORIGIN}{n}", "", answers), VIEW, LAX) for n in (0, 1, 0, 2, 0, 2)]
    assert all((pages[number].image == pages[0].image).all() for number in (1, 2, 4))
    assert texts(pages[3]) == texts(pages[5]) == ["Seen 000020"]


@pytest.mark.parametrize(
    "body",
    [
        "<script>1</script>", "<noscript>a</noscript>", "<p OnClick = 'x()'>a</p>", "<img/onerror=x()>",
        "<a href='JavaScript:x()'>",
        "<iframe srcdoc=a>", "<object data=a>", "<meta http-equiv='refresh' content=1>", "<svg onload=x()>",
    ],
)  # fmt: skip
def test_pages_that_may_run_something_are_known(body: str) -> None:
    assert not is_still(job(body)) and is_still(job("<p>once = 1, on and on</p>"))


def test_a_tab_of_another_size_before_changes_nothing() -> None:
    answers = {
        ORIGIN: ("text/html", b"<body style='font:20px DejaVu Sans'><p>Some words that wrap on narrow screens</p>")
    }
    views = [View(width, 400, 1.0, 5.0, True) for width in (500, 200, 500)]
    for each in (Job("k", ORIGIN, "", answers), Job("k", ORIGIN, content=answers[ORIGIN][1].decode())):
        wide, narrow, again = (read_page(each, view, LAX) for view in views)
        assert wide.image.shape == (400, 500, 3) and narrow.image.shape == (400, 200, 3)
        assert len(wide.lines) == 1 < len(narrow.lines)
        assert (wide.image == again.image).all()


def test_one_address_in_two_folders_is_two_files(tmp_path: Path) -> None:
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


def test_answers_of_an_archive_reach_frames_and_other_origins() -> None:
    """A style sheet of another origin, inside a frame, and a font of a third that asks for leave to be read."""
    font = Path("/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf").read_bytes()
    css = b"@font-face{font-family:Far;src:url(http://fonts.invalid/f.ttf)}p{font:20px Far;text-transform:uppercase}"
    answers = {
        ORIGIN: ("text/html", b"<iframe src=/frame width=400 height=90></iframe>"),
        f"{ORIGIN}frame": ("text/html", b"<link rel=stylesheet href='http://css.invalid/s.css'><p>Far away"),
        "http://css.invalid/s.css": ("text/css", css), "http://fonts.invalid/f.ttf": ("font/ttf", font),
    }  # fmt: skip
    page = read_page(Job("k", ORIGIN, "", answers), VIEW, LAX)
    assert texts(page) == ["FAR AWAY"] and page.fonts == ["DejaVu Sans Mono"]


def test_windows_and_frames_of_others_end_the_context() -> None:
    answers = {
        ORIGIN: ("text/html", b"<p style='font:20px DejaVu Sans'>Holder</p><iframe src='http://other.invalid/'></iframe>"),
        "http://other.invalid/": ("text/html", b"<script>localStorage.n=9</script>"),
        "http://other.invalid/page": ("text/html", b"<p id=r style='font:20px DejaVu Sans'></p><script>"
                                      b"r.textContent='Seen '+(localStorage.n||0)</script>"),
    }  # fmt: skip
    assert texts(read_page(Job("k", ORIGIN, "", answers), VIEW, LAX)) == ["Holder"]
    assert texts(read_page(Job("k", "http://other.invalid/page", "", answers), VIEW, LAX)) == ["Seen 0"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # warcio leaves a file open
def test_warc_pages_see_their_own_resources(tmp_path: Path) -> None:
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    answers = {
        "http://site.test/": (
            "text/html",
            b"<link rel=stylesheet href=/s.css><p style='font-size:20px'>From a WARC file",
        ),
        "http://site.test/s.css": ("text/css", b"p{text-transform:uppercase}"),
    }
    with (tmp_path / "a.warc.gz").open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for url, (kind, body) in answers.items():
            head = StatusAndHeaders("200 OK", [("Content-Type", kind)], protocol="HTTP/1.1")
            writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=head))
    (only,) = jobs(str(tmp_path / "a.warc.gz"))
    assert texts(read_page(only, VIEW, LAX)) == ["FROM A WARC FILE"]
