"""Chromium by Playwright: one browser per process, a fresh offline context per page, everything bounded in time."""

import base64
import mimetypes
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import CDPSession, Playwright, Route, sync_playwright
from playwright.sync_api import Page as Tab

from pipeline.errors import RecipeError
from synth_ocr.page import Pixels

HERE = Path(__file__).parent
ORIGIN = "http://page.invalid/"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--font-render-hinting=none", "--disable-gpu", "--disable-lcd-text", "--force-color-profile=srgb", "--hide-scrollbars",
    "--blink-settings=imageAnimationPolicy=2", "--disable-smooth-scrolling", "--disable-features=OverlayScrollbar",
)  # fmt: skip
STYLES = ("display", "transform", "writing-mode", "font-size", "rotate")
SETTLE = """() => Promise.race([
  Promise.all([document.fonts.ready,
    ...[...document.images].slice(0, 200).map(i => i.decode().catch(() => 0))]).then(() => 1),
  new Promise(done => setTimeout(() => done(1), %d))])"""
SCRIPTABLE = ("http:", "https:", "about:", "data:", "blob:")  # not the browser's own error pages: they never answer
FONT_NODES = 12
RECYCLE = 100  # pages per browser: memory of long-lived ones grows


@dataclass(frozen=True)
class Job:
    """A page to render: its URL and where responses come from, a folder or a mapping of URL to (type, bytes)."""

    key: str
    url: str
    root: str = ""
    responses: Mapping[str, tuple[str, bytes]] | None = None


@dataclass(frozen=True)
class View:
    """Sizes in CSS pixels; ``scale``: device pixels per CSS pixel; ``seconds`` for loading."""

    width: int
    height: int
    scale: float
    seconds: float
    scripts: bool


@dataclass(frozen=True)
class Shot:
    """Two pictures of one screen, with its text and without, and the rendered tree."""

    with_text: Pixels
    without: Pixels
    snapshot: dict[str, Any]
    quads: dict[int, list[list[float]]]  # of turned text nodes, by backend id
    frames: dict[int, tuple[float, float]]  # content origin of iframes, by backend id
    fonts: list[str]


def executable() -> str | None:
    """The installed browser; none is ever downloaded."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """Starts on the first page, restarts after RECYCLE pages."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._chromium: Chromium | None = None
        self._pages = 0

    def shoot(self, job: Job, view: View) -> Shot:
        """Render one page. Raises Playwright's errors."""
        chromium = self._running()
        context = chromium.new_context(
            viewport={"width": view.width, "height": view.height}, device_scale_factor=view.scale, offline=True,
            java_script_enabled=True, reduced_motion="reduce", service_workers="block", accept_downloads=False,
        )  # fmt: skip
        try:
            context.set_default_timeout(view.seconds * 1000)
            context.add_init_script(path=HERE / "start.js")
            context.route("**/*", lambda route: respond(route, job))
            tab = context.new_page()
            session = context.new_cdp_session(tab)
            if not view.scripts:
                session.send("Emulation.setScriptExecutionDisabled", {"value": True})
            tab.goto(job.url, wait_until="load")
            tab.evaluate(SETTLE % int(min(view.seconds, 3) * 1000))
            return capture(tab, session, view)
        finally:
            context.close()

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
        self._pages += 1
        return self._chromium

    def close(self) -> None:
        """End the browser and its driver."""
        if self._chromium is not None and self._playwright is not None:
            self._chromium.close()
            self._playwright.stop()
        self._chromium = self._playwright = None


def respond(route: Route, job: Job) -> None:
    """Answer from the job's own files; all else is refused, and the context is offline besides."""
    url = route.request.url.partition("#")[0]
    if job.responses is not None:
        found = job.responses.get(url)
        if found is None:
            refuse(route)
        else:
            route.fulfill(body=found[1], content_type=found[0])
        return
    if not url.startswith(ORIGIN):
        refuse(route)
        return
    root = Path(job.root).resolve()
    path = (root / unquote(urlsplit(url).path).lstrip("/")).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        refuse(route)
        return
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    route.fulfill(body=path.read_bytes(), content_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)


def refuse(route: Route) -> None:
    """No answer; an empty page for a frame, since a frame that failed never answers scripts."""
    if route.request.resource_type == "document" and route.request.frame.parent_frame is not None:
        route.fulfill(body="<!doctype html>", content_type="text/html")
    else:
        route.abort()


def capture(tab: Tab, session: CDPSession, view: View) -> Shot:
    """The tree, a shot, all text made transparent, a second shot."""
    snapshot: dict[str, Any] = session.send(
        "DOMSnapshot.captureSnapshot", {"computedStyles": list(STYLES), "includePaintOrder": False}
    )
    turned, frames = _turned(snapshot), _frames(snapshot)
    quads = {node: _quads(session, node) for node in turned}
    origins = {node: _origin(session, node) for node in frames}
    with_text = picture(session, view)
    script = (HERE / "hide.js").read_text("utf-8")
    for frame in tab.frames:
        if frame.url.startswith(SCRIPTABLE):
            frame.evaluate(script)
    return Shot(with_text, picture(session, view), snapshot, quads, origins, _fonts(session, snapshot))


def picture(session: CDPSession, view: View) -> Pixels:
    """The viewport in device pixels, [height, width, 3], RGB. The protocol gives CSS pixels unless a clip asks for more."""
    clip = {"x": 0, "y": 0, "width": view.width, "height": view.height, "scale": view.scale}
    wanted = {"format": "png", "optimizeForSpeed": True, **({"clip": clip} if view.scale != 1 else {})}
    data = session.send("Page.captureScreenshot", wanted)["data"]
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(np.asarray(decoded), cv2.COLOR_BGR2RGB), np.uint8)


def _turned(snapshot: dict[str, Any]) -> list[int]:
    """Backend ids of text nodes below an element that a transform turns."""
    strings = snapshot["strings"]
    found = []
    for document in snapshot["documents"]:
        nodes, layout = document["nodes"], document["layout"]
        bent = set()
        for node, styles in zip(layout["nodeIndex"], layout["styles"], strict=True):
            if styles and is_turning(strings[styles[1]], strings[styles[4]]):
                bent.add(node)
        if not bent:
            continue
        for node, text in zip(layout["nodeIndex"], layout["text"], strict=True):
            if text >= 0 and _below(node, bent, nodes["parentIndex"]):
                found.append(nodes["backendNodeId"][node])
    return found


def is_turning(transform: str, rotate: str) -> bool:
    """Whether a computed transform leaves text other than upright."""
    if rotate not in ("none", "", "0deg"):
        return True
    if not transform.startswith("matrix"):
        return False
    if transform.startswith("matrix3d"):
        return True
    a, b, c, d = (float(value) for value in transform[7:-1].split(",")[:4])
    return abs(b) > 1e-3 or abs(c) > 1e-3 or a < 0 or d < 0


def _below(node: int, ancestors: set[int], parents: list[int]) -> bool:
    while node >= 0:
        if node in ancestors:
            return True
        node = parents[node]
    return False


def _frames(snapshot: dict[str, Any]) -> list[int]:
    """Backend ids of elements that hold a document."""
    nodes = [document["nodes"] for document in snapshot["documents"]]
    return [each["backendNodeId"][i] for each in nodes for i in each["contentDocumentIndex"]["index"]]


def _quads(session: CDPSession, node: int) -> list[list[float]]:
    """One quad per line of a text node, viewport CSS pixels; none where it is not laid out."""
    from playwright.sync_api import Error

    try:
        found: list[list[float]] = session.send("DOM.getContentQuads", {"backendNodeId": node})["quads"]
    except Error:
        return []
    return found


def _origin(session: CDPSession, node: int) -> tuple[float, float]:
    """Top left of an iframe's content, viewport CSS pixels; far outside where it is not laid out."""
    from playwright.sync_api import Error

    try:
        content = session.send("DOM.getBoxModel", {"backendNodeId": node})["model"]["content"]
    except Error:
        return -1e6, -1e6
    return float(content[0]), float(content[1])


def _fonts(session: CDPSession, snapshot: dict[str, Any]) -> list[str]:
    """Which fonts drew some of the page's texts."""
    session.send("DOM.enable")
    session.send("CSS.enable")
    session.send("DOM.getDocument", {"depth": 0})
    nodes = _spread([node for each in snapshot["documents"] for node in _texts(each)])
    pushed = session.send("DOM.pushNodesByBackendIdsToFrontend", {"backendNodeIds": nodes})["nodeIds"]
    used = [session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"] for node in pushed if node]
    return sorted({font["familyName"] for fonts in used for font in fonts})


def _texts(document: dict[str, Any]) -> list[int]:
    """Backend ids of a document's laid-out text nodes."""
    layout, nodes = document["layout"], document["nodes"]
    return [nodes["backendNodeId"][n] for n, text in zip(layout["nodeIndex"], layout["text"], strict=True) if text >= 0]


def _spread(nodes: list[int]) -> list[int]:
    """At most FONT_NODES of them, evenly."""
    return nodes[:: max(1, -(-len(nodes) // FONT_NODES))]


@lru_cache(maxsize=1)
def shared() -> Browser:
    """The one browser of this process."""
    return Browser()
