"""One screen of a loaded page: the rendered tree, a picture with text, a picture without."""

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import CDPSession
from playwright.sync_api import Page as Tab

from qvl.synth_ocr.page.page import Pixels

HERE = Path(__file__).parent
STYLES = (
    "display", "transform", "writing-mode", "font-size", "rotate", "font-family", "background-clip", "text-overflow",
    "-webkit-line-clamp",
)  # fmt: skip
SCRIPTABLE = ("http:", "https:", "about:", "data:", "blob:")  # not the browser's own error pages: they never answer
FAMILIES = 4  # of a page, whose fonts are asked for
SCREENS = 2  # what lies farther below is taken out of the page before it is described


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


@cache
def _script(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def capture(tab: Tab, session: CDPSession, view: View) -> Shot:
    """Wait until all is drawn; then the tree, a shot, all text made transparent, a second shot."""
    _everywhere(tab, "settle.js", {"wait": int(min(view.seconds, 3) * 1000), "screens": SCREENS})
    snapshot = _tree(session)
    if {"ellipsis"} & _values(snapshot, "text-overflow") or {"none"} != _values(snapshot, "-webkit-line-clamp"):
        _everywhere(tab, "unshorten.js")
        snapshot = _tree(session)
    turned, frames = _turned(snapshot), _frames(snapshot)
    quads = {node: _quads(session, node) for node in turned}
    origins = {node: _origin(session, node) for node in frames}
    with_text = picture(session, view)
    _everywhere(tab, "hide.js", any("text" in value for value in _values(snapshot, "background-clip")))
    return Shot(with_text, picture(session, view), snapshot, quads, origins, _fonts(session, snapshot))


def _tree(session: CDPSession) -> dict[str, Any]:
    wanted = {"computedStyles": list(STYLES), "includePaintOrder": False}
    tree: dict[str, Any] = session.send("DOMSnapshot.captureSnapshot", wanted)
    return tree


def _values(snapshot: dict[str, Any], style: str) -> set[str]:
    """All values of a computed style."""
    place, documents = STYLES.index(style), snapshot["documents"]
    numbers = {each[place] for document in documents for each in document["layout"]["styles"] if each}
    return {snapshot["strings"][number] for number in numbers}


def _everywhere(tab: Tab, script: str, argument: bool | dict[str, int] = False) -> None:
    """Run a script in all frames that can answer."""
    for frame in tab.frames:
        if frame.url.startswith(SCRIPTABLE):
            frame.evaluate(_script(script), argument)


def picture(session: CDPSession, view: View) -> Pixels:
    """The viewport in device pixels, [height, width, 3], RGB. The protocol gives CSS pixels unless a clip asks for more."""
    clip = {"x": 0, "y": 0, "width": view.width, "height": view.height, "scale": view.scale}
    wanted = {"format": "png", "optimizeForSpeed": True, **({"clip": clip} if view.scale != 1 else {})}
    data = session.send("Page.captureScreenshot", wanted)["data"]
    return np.asarray(cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


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
    """Which fonts drew some of the page's texts: the longest text of each family that the page asks for."""
    nodes = _longest(snapshot)
    session.send("DOM.getDocument", {"depth": 0})
    pushed = session.send("DOM.pushNodesByBackendIdsToFrontend", {"backendNodeIds": nodes})["nodeIds"]
    used = [session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"] for node in pushed if node]
    return sorted({font["familyName"] for fonts in used for font in fonts})


def _longest(snapshot: dict[str, Any]) -> list[int]:
    """Backend ids of text nodes, one for each of the first FAMILIES families."""
    strings, best = snapshot["strings"], dict[int, tuple[int, int]]()
    for document in snapshot["documents"]:
        layout, nodes = document["layout"], document["nodes"]
        styles = dict(zip(layout["nodeIndex"], layout["styles"], strict=True))
        for node, text in zip(layout["nodeIndex"], layout["text"], strict=True):
            style = styles.get(nodes["parentIndex"][node])
            if text < 0 or not style:
                continue
            family, length = style[5], len(strings[text])
            if length > best.get(family, (0, 0))[0] and (family in best or len(best) < FAMILIES):
                best[family] = length, nodes["backendNodeId"][node]
    return [node for _, node in best.values()]
