"""An untrusted page tries every way to the network, with a listener on loopback that hears it if it gets out.

A control run without isolation shows that the listener hears each of the channels. Not tried:

* DNS (``dns-prefetch`` and every name in a URL): Chromium asks the system's name servers, and a test cannot replace those.
  A namespace has no way to them, and ``--host-resolver-rules`` answers every name before anybody is asked.
* ``Report-To`` and NEL: Chromium accepts them only from HTTPS with a valid certificate and sends them after a minute.
  Reports of CSP are tried.
"""

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from playwright.sync_api import Playwright, Route

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.html import browser, isolation, source
from qvl.synth_ocr.html.browser import FLAGS, ORIGIN, shared_browser
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.isolation import SETTINGS, Isolation, executable, unshare_options, write_launcher
from qvl.synth_ocr.html.render import NOT_ISOLATED, PagesTask, read_page, render_pages
from qvl.synth_ocr.html.responses import Job
from qvl.synth_ocr.page.notes import BrowserNotes
from qvl.synth_ocr.page.page import Outcome
from tests.synth_ocr.html.listener import Content, Listener, listening
from tests.synth_ocr.html.rendering import GENUINE, LAX, VIEW, job, read, texts

pytestmark = pytest.mark.skipif(executable() is None, reason="no chromium: sh scripts/ocr_packages.sh")
needs_namespace = pytest.mark.skipif(unshare_options() is None, reason="no network namespace may be created here")
HOSTILE = Path(__file__).with_name("hostile.html")
REPORTS = "Content-Security-Policy-Report-Only: img-src 'none'; report-uri /csp_report"
CHANNELS = {
    "favicon", "manifest", "link_prefetch", "preload", "modulepreload", "preconnect", "css_import", "font", "css_image",
    "prefetch", "prerender", "image", "script", "frame", "refresh", "object", "embed", "audio", "video", "track", "form",
    "ping", "download", "fetch", "keepalive", "fetch_later", "beacon", "xhr", "module", "eventsource", "websocket",
    "webtransport", "webrtc_udp", "webrtc_tcp", "worker", "worker_fetch", "shared_worker", "service_worker", "popup",
    "csp_report",
}  # fmt: skip
# parts of the full Chromium that the headless shell lacks
NOT_IN_SHELL = {"favicon", "manifest", "preconnect"}
POLLS = 8  # of 250 ms, after the page has tried everything


class Here:
    """Renders in this process, where a test can change what the browser is started with."""

    def results(self, task: PagesTask) -> Iterator[Outcome]:
        return render_pages(task)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as found:
        names = {channel: found.port(channel) for channel in found.sockets}
        page = Template(HOSTILE.read_text("utf-8")).safe_substitute(names, address=found.address)
        found.contents |= {
            "page": Content(page, "text/html", (REPORTS,)),
            "css_import": Content("p { color: black }", "text/css"),
            "service_worker": Content("", "text/javascript"),
            "worker": Content("postMessage(1)", "text/javascript"),
            "shared_worker": Content("", "text/javascript"),
        }
        yield found


def attempt_all(
    playwright: Playwright, listener: Listener, profile: Path, program: Path, flags: tuple[str, ...], served: bool
) -> Counter[str]:
    """Show the hostile page without intercepting anything but, where nobody can serve it, the page itself."""
    # with a profile: a context without one opens no connections ahead of time
    context = playwright.chromium.launch_persistent_context(profile, executable_path=program, args=[*FLAGS, *flags])
    tab = context.new_page()
    url = f"{listener.address}/page"

    def answer(route: Route) -> None:
        name, value = REPORTS.split(": ", 1)
        route.fulfill(body=listener.contents["page"].body, content_type="text/html", headers={name: value})

    if not served:
        context.route(url, answer)
    tab.goto(url, wait_until="commit")
    tab.wait_for_function("document.title === 'tried'", timeout=120_000)
    for _ in range(POLLS):
        if listener.heard.keys() >= CHANNELS:
            break
        tab.wait_for_timeout(250)
    context.close()
    return listener.heard


def test_listener_hears_every_channel_when_the_browser_is_not_isolated(
    playwright: Playwright, listener: Listener, tmp_path: Path
) -> None:
    heard = attempt_all(playwright, listener, tmp_path, Path(executable() or ""), (), served=True)
    assert heard.keys() >= (CHANNELS - NOT_IN_SHELL if "headless-shell" in str(executable()) else CHANNELS)


@needs_namespace
def test_hostile_page_reaches_nothing_when_the_namespace_alone_holds(
    playwright: Playwright, listener: Listener, tmp_path: Path
) -> None:
    launcher = write_launcher(tmp_path, executable() or "", unshare_options() or ())
    assert not attempt_all(playwright, listener, tmp_path / "profile", launcher, (), served=False)


def test_hostile_page_reaches_nothing_when_the_settings_alone_hold(
    playwright: Playwright, listener: Listener, tmp_path: Path
) -> None:
    assert not attempt_all(playwright, listener, tmp_path, Path(executable() or ""), SETTINGS, served=False)


def test_hostile_page_when_rendered_reaches_nothing_and_its_notes_say_why(listener: Listener) -> None:
    url = f"{listener.address}/page"
    body = listener.contents["page"].body
    # requests for pictures delay the page's load event until everything was tried
    body += "<script>let n = 0; (function wait() { if (document.title === 'tried' || n++ > 20000) return; " \
            "const i = new Image(); i.onerror = wait; i.src = 'w' + n; })()</script>"  # fmt: skip
    page = read_page(Job("k", url, "", {url: ("text/html", body.encode())}), View(600, 400, 1.0, 60.0, True), LAX)
    assert GENUINE in texts(page) and not listener.heard
    expected = Isolation.SETTINGS if unshare_options() is None else Isolation.NAMESPACE
    assert page.notes == BrowserNotes(isolation=expected)


def test_page_cannot_show_a_file_of_the_machine_but_a_page_that_is_a_file_can(
    playwright: Playwright, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    body = f"<iframe src='file://{tmp_path}/secret.txt' width=300 height=100></iframe>"
    (tmp_path / "control.html").write_text(body)
    chromium = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
    tab = chromium.new_page()
    tab.goto(f"file://{tmp_path}/control.html")
    assert "SECRET" in tab.frames[1].content()
    chromium.close()
    assert texts(read(body)) == [GENUINE]


def test_browser_that_nothing_isolates_refuses_untrusted_pages_and_renders_templates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where an administrator's policy overrules the settings: the browser is real, and really not isolated."""
    monkeypatch.setattr(browser, "unshare_options", lambda: None)
    monkeypatch.setattr(browser, "SETTINGS", ())
    monkeypatch.setattr(source, "confined_process", lambda function, limits: Here())
    (tmp_path / "a.html").write_text(f"<p>{GENUINE}</p>")
    saved = source.Html(paths=(str(tmp_path / "a.html"),))
    shared_browser().close()
    template = Job("t", f"{ORIGIN}t", content=f"<body style='font:20px DejaVu Sans'><p>{GENUINE}</p>")
    outcomes = list(render_pages(PagesTask(((job("<p>untrusted</p>"), VIEW), (template, VIEW)), LAX)))
    with pytest.raises(RecipeError, match="pages: Chromium can reach the network"):
        list(saved.outcomes(saved.units("pages")[0], 0))
    shared_browser().close()
    assert [outcome.verdict for outcome in outcomes] == [NOT_ISOLATED, "keep"]


def test_browser_without_namespaces_is_isolated_by_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "unshare_options", lambda: None)
    shared_browser().close()
    page = read_page(job("<p>untrusted</p>"), VIEW, LAX)
    shared_browser().close()
    assert texts(page) == [GENUINE, "untrusted"] and page.notes == BrowserNotes(isolation=Isolation.SETTINGS)


@needs_namespace
def test_launcher_starts_a_program_without_any_way_to_the_network(tmp_path: Path) -> None:
    options = unshare_options() or ()
    cat = write_launcher(tmp_path, "/bin/cat", options)
    routes = subprocess.run([str(cat), "/proc/net/route"], capture_output=True, text=True, check=True).stdout
    assert len(routes.splitlines()) <= 1  # the header


def test_unshare_options_when_the_program_is_not_installed_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isolation.unshare_options.__wrapped__() is None
