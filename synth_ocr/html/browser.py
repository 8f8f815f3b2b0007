"""Chromium by Playwright: one browser per process, offline, everything bounded in time.

A fresh context for every page costs half a CPU second: a new process with cold caches. Pages share a tab instead. One
without anything that runs is shown in a tab without scripts, and can leave nothing behind; after another one what it could
leave is removed. The context is new every RENEW pages, for pages from another folder or archive, and after a page that had
other origins in it or opened windows.
"""

import shutil
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, CDPSession, Error, Playwright, sync_playwright
from playwright.sync_api import Page as Tab

from qvl.pipeline.base.errors import RecipeError
from qvl.synth_ocr.html.answers import Job, is_still, origin_of, respond
from qvl.synth_ocr.html.capture import Shot, View, capture

HERE = Path(__file__).parent
ORIGIN = "http://page.invalid/"
# the first one has no windows to draw: a third less CPU time for a page
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# no --disable-features: the last one counts, and Playwright has its own
FLAGS = (
    "--font-render-hinting=none", "--disable-gpu", "--disable-lcd-text", "--force-color-profile=srgb", "--hide-scrollbars",
    "--blink-settings=imageAnimationPolicy=2", "--disable-smooth-scrolling",
)  # fmt: skip
RECYCLE = 100  # pages per browser: memory of long-lived ones grows
RENEW = 25  # strangers' pages per context


@dataclass
class Held:
    """A tab that is kept, its protocol session, main frame and size, and how many strangers' pages it has shown."""

    tab: Tab
    session: CDPSession
    frame: str
    size: tuple[int, int]
    pages: int = 0


def executable() -> str | None:
    """The installed browser; none is ever downloaded."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """Starts on the first page, restarts after RECYCLE pages."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._pages = 0
        self._tabs: dict[tuple[bool, float, float, bool], Held] = {}  # strange, and what a view fixes for its context
        self._frames: set[str] = set()  # ids of the tabs' own frames
        self._job = Job("", ORIGIN)

    def shoot(self, job: Job, view: View) -> Shot:
        """Render one page. Raises Playwright's errors."""
        return self._own(job, view) if job.content else self._strange(job, view)

    def _own(self, job: Job, view: View) -> Shot:
        """A page without scripts leaves nothing behind."""
        self._job = job
        held = self._held(view, False)
        held.session.send("Page.setDocumentContent", {"frameId": held.frame, "html": job.content})
        return capture(held.tab, held.session, view)

    def _strange(self, job: Job, view: View) -> Shot:
        if self._job.content or job.root != self._job.root or job.responses is not self._job.responses:
            self._drop_strangers()  # one address may mean another file now
        self._job = job
        still = is_still(job)
        held = self._held(replace(view, scripts=view.scripts and not still), True)
        held.tab.goto(job.url, wait_until="load")
        shot = capture(held.tab, held.session, view)
        held.pages += 1
        if held.pages >= RENEW or not (still or forget(held.tab, held.session, job.url)):
            self._drop_strangers()
        return shot

    def _drop_strangers(self) -> None:
        for key in [key for key in self._tabs if key[0]]:
            self._tabs.pop(key).tab.context.close()

    def _held(self, view: View, strange: bool) -> "Held":
        chromium = self._running()
        key = (strange, view.scale, view.seconds, view.scripts)
        if key not in self._tabs:
            context = _context(chromium, view)
            if strange:
                context.add_init_script(path=HERE / "start.js")
            tab = context.new_page()
            session = context.new_cdp_session(tab)
            if not (strange and view.scripts):
                session.send("Emulation.setScriptExecutionDisabled", {"value": True})
            session.send("DOM.enable")
            session.send("CSS.enable")
            frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
            self._frames.add(frame)
            self._tabs[key] = Held(tab, session, frame, (view.width, view.height))
        held = self._tabs[key]
        if held.size != (view.width, view.height):
            held.tab.set_viewport_size({"width": view.width, "height": view.height})
            held.size = view.width, view.height
        return held

    def _running(self) -> Chromium:
        if self._chromium is not None and self._pages >= RECYCLE:
            self.close()
        if self._chromium is None:
            path = executable()
            if path is None:
                raise RecipeError("no chromium is installed: sh scripts/ocr_packages.sh")
            self._playwright = sync_playwright().start()
            self._chromium = self._playwright.chromium.launch(executable_path=path, args=list(FLAGS))
            self._pages = 0
            session = self._chromium.new_browser_cdp_session()
            session.on("Fetch.requestPaused", lambda paused: respond(session, paused, self._job, self._frames))
            session.send("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        self._pages += 1
        return self._chromium

    def close(self) -> None:
        """End the browser and its driver."""
        if self._chromium is not None and self._playwright is not None:
            self._chromium.close()
            self._playwright.stop()
        self._chromium = self._playwright = None
        self._tabs, self._frames = {}, set()


def _context(chromium: Chromium, view: View) -> BrowserContext:
    context = chromium.new_context(
        viewport={"width": view.width, "height": view.height}, device_scale_factor=view.scale, offline=True,
        java_script_enabled=True, reduced_motion="reduce", service_workers="block", accept_downloads=False,
    )  # fmt: skip
    context.set_default_timeout(view.seconds * 1000)
    return context


def forget(tab: Tab, session: CDPSession, url: str) -> bool:
    """End a page's scripts, timers and workers, and remove what it stored. False where only a new context would do.

    What one tab alone holds (its session storage, its name) is removed by start.js before the next page's scripts.
    """
    own = origin_of(url)
    foreign = {origin_of(frame.url) for frame in tab.frames if frame.url.startswith("http")} - {own}
    if foreign or len(tab.context.pages) > 1:
        return False
    try:
        tab.goto("about:blank", wait_until="commit")
        session.send("Storage.clearDataForOrigin", {"origin": own, "storageTypes": "all"})
        tab.context.clear_cookies()
        session.send("Page.resetNavigationHistory")
    except Error:
        return False  # the page was read, but does not let go
    return True


@lru_cache(maxsize=1)
def shared() -> Browser:
    """The one browser of this process."""
    return Browser()
