"""Chromium through Playwright: one browser per process, without a network, with a time limit on everything.

A new context for every page would cost half a CPU second: a new process with cold caches. Pages share a tab instead. A page
with nothing that runs is shown in a tab without scripts and cannot leave any state behind; after any other page, its state
is removed. The context is replaced every RENEW pages, for pages from another folder or archive, and after a page that had
frames of other origins or opened windows.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, CDPSession, Error, Playwright, sync_playwright
from playwright.sync_api import Page as Tab

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.html.capture import Shot, View, capture
from qvl.synth_ocr.html.isolation import SETTINGS, Isolation, NotIsolated, executable, unshare_options, write_launcher
from qvl.synth_ocr.html.probe import reaches_network
from qvl.synth_ocr.html.responses import Job, is_static, origin_of, respond

HERE = Path(__file__).parent
ORIGIN = "http://page.invalid/"
# no --disable-features: only the last one counts, and Playwright passes its own
FLAGS = (
    "--font-render-hinting=none", "--disable-gpu", "--disable-lcd-text", "--force-color-profile=srgb", "--hide-scrollbars",
    "--blink-settings=imageAnimationPolicy=2", "--disable-smooth-scrolling",
)  # fmt: skip
RECYCLE = 100  # pages per browser: the memory of long-lived ones grows
RENEW = 25  # untrusted pages per context


@dataclass(frozen=True, slots=True)
class TabKind:
    """What a tab's context fixes: whether it shows untrusted pages, and the parts of the view that cannot change."""

    untrusted: bool
    scale: float
    seconds: float
    scripts: bool


@dataclass
class OpenTab:
    """A tab that stays open: its protocol session, main frame and size, and how many untrusted pages it has shown."""

    tab: Tab
    session: CDPSession
    frame: str
    size: tuple[int, int]
    pages: int = 0


class Browser:
    """Starts with the first page and restarts after RECYCLE pages."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self.isolation: Isolation | None = None  # of the running browser
        self._pages = 0
        self._tabs: dict[TabKind, OpenTab] = {}
        self._frames: set[str] = set()  # ids of the tabs' main frames
        self._job = Job("", ORIGIN)

    def shoot(self, job: Job, view: View) -> Shot:
        """Render one page. Raises Playwright's errors, and NotIsolated if an untrusted page could reach the network."""
        return self._shoot_template(job, view) if job.content else self._shoot_untrusted(job, view)

    def _shoot_template(self, job: Job, view: View) -> Shot:
        """One of our templates, without scripts: it leaves no state behind."""
        self._job = job
        opened = self._open_tab(self._running(), TabKind(False, view.scale, view.seconds, view.scripts), view)
        opened.session.send("Page.setDocumentContent", {"frameId": opened.frame, "html": job.content})
        return capture(opened.tab, opened.session, view)

    def _shoot_untrusted(self, job: Job, view: View) -> Shot:
        if self._job.content or job.root != self._job.root or job.responses is not self._job.responses:
            self._close_untrusted()  # the same URL may be another file now
        self._job = job
        chromium = self._running()
        if self.isolation is None:
            raise NotIsolated
        static = is_static(job)
        view = replace(view, scripts=view.scripts and not static)
        opened = self._open_tab(chromium, TabKind(True, view.scale, view.seconds, view.scripts), view)
        opened.tab.goto(job.url, wait_until="load")
        shot = capture(opened.tab, opened.session, view)
        opened.pages += 1
        if opened.pages >= RENEW or not (static or clear_state(opened.tab, opened.session, job.url)):
            self._close_untrusted()
        return shot

    def _close_untrusted(self) -> None:
        for kind in [kind for kind in self._tabs if kind.untrusted]:
            self._tabs.pop(kind).tab.context.close()

    def _open_tab(self, chromium: Chromium, kind: TabKind, view: View) -> OpenTab:
        """The tab of this kind, opened if necessary, in the view's size."""
        if kind not in self._tabs:
            self._tabs[kind] = self._new_tab(chromium, kind, view)
        opened = self._tabs[kind]
        if opened.size != (view.width, view.height):
            opened.tab.set_viewport_size({"width": view.width, "height": view.height})
            opened.size = view.width, view.height
        return opened

    def _new_tab(self, chromium: Chromium, kind: TabKind, view: View) -> OpenTab:
        context = _new_context(chromium, view)
        if kind.untrusted:
            context.add_init_script(path=HERE / "before_page.js")
        tab = context.new_page()
        session = context.new_cdp_session(tab)
        if not (kind.untrusted and kind.scripts):
            session.send("Emulation.setScriptExecutionDisabled", {"value": True})
        session.send("DOM.enable")
        session.send("CSS.enable")
        frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        self._frames.add(frame)
        return OpenTab(tab, session, frame, (view.width, view.height))

    def _running(self) -> Chromium:
        """The running browser; starts it if necessary."""
        if self._chromium is not None and self._pages >= RECYCLE:
            self.close()
        if self._chromium is None:
            path = executable()
            if path is None:
                raise RecipeError("chromium is not installed: sh scripts/ocr_packages.sh")
            self._playwright = sync_playwright().start()
            self._chromium, self.isolation = launch(self._playwright, path)
            self._pages = 0
            session = self._chromium.new_browser_cdp_session()
            session.on("Fetch.requestPaused", lambda paused: respond(session, paused, self._job, self._frames))
            session.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        self._pages += 1
        return self._chromium

    def close(self) -> None:
        """End the browser and its driver."""
        if self._chromium is not None:
            self._chromium.close()
        if self._playwright is not None:
            self._playwright.stop()
        self._chromium = self._playwright = None
        self._tabs, self._frames = {}, set()


def launch(playwright: Playwright, path: str) -> tuple[Chromium, Isolation | None]:
    """The browser at this path, and what keeps it off the network; None if nothing does."""
    options = unshare_options()
    arguments = [*FLAGS, *SETTINGS]
    if options is None:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)
        return chromium, None if reaches_network(chromium) else Isolation.SETTINGS
    with TemporaryDirectory(prefix="qvl-browser-") as folder:
        launcher = write_launcher(Path(folder), path, options)
        return playwright.chromium.launch(executable_path=launcher, args=arguments), Isolation.NAMESPACE


def _new_context(chromium: Chromium, view: View) -> BrowserContext:
    context = chromium.new_context(
        viewport={"width": view.width, "height": view.height}, device_scale_factor=view.scale, offline=True,
        java_script_enabled=True, reduced_motion="reduce", service_workers="block", accept_downloads=False,
    )  # fmt: skip
    context.set_default_timeout(view.seconds * 1000)
    return context


def clear_state(tab: Tab, session: CDPSession, url: str) -> bool:
    """End a page's scripts, timers and workers and remove what it stored. False if only a new context would do.

    What belongs to the tab itself (its session storage and its name) is cleared by before_page.js, before the next page.
    """
    own = origin_of(url)
    other_origins = {origin_of(frame.url) for frame in tab.frames if frame.url.startswith("http")} - {own}
    if other_origins or len(tab.context.pages) > 1:
        return False
    try:
        tab.goto("about:blank", wait_until="commit")
        session.send("Storage.clearDataForOrigin", {"origin": own, "storageTypes": "all"})
        tab.context.clear_cookies()
        session.send("Page.resetNavigationHistory")
    except Error:
        return False  # the page was captured but refuses to be left
    return True


@cache
def shared_browser() -> Browser:
    """The only browser of this process."""
    return Browser()
