"""Captures one screen of a loaded page: the rendered tree, a picture with text and a picture without."""

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import CDPSession, Error
from playwright.sync_api import Page as Tab

from qvl.synth_ocr.html.snapshot import FONT_FAMILY, ROTATE, STYLES, TRANSFORM, Snapshot, parse_snapshot
from qvl.synth_ocr.page.page import Pixels

HERE = Path(__file__).parent
SCRIPTABLE = ("http:", "https:", "about:", "data:", "blob:")  # the browser's own error pages never answer scripts
FAMILIES = 4  # how many of a page's font families are looked up
SCREENS = 2  # content farther below is removed from the page before it is described
NOT_LAID_OUT = (-1e6, -1e6)  # origin of a frame that is not shown: far outside the screen


@dataclass(frozen=True)
class View:
    """Sizes in CSS pixels. ``scale``: device pixels per CSS pixel. ``seconds``: time limit for loading."""

    width: int
    height: int
    scale: float
    seconds: float
    scripts: bool


@dataclass(frozen=True)
class Shot:
    """Two pictures of one screen, with its text and without, and the rendered tree."""

    with_text: Pixels
    without_text: Pixels
    snapshot: Snapshot
    quads: dict[int, list[list[float]]]  # of transformed text nodes, one per line, by backend id; CSS pixels
    frames: dict[int, tuple[float, float]]  # content origin of iframes by backend id, CSS pixels
    fonts: list[str]


@cache
def _script(name: str) -> str:
    return (HERE / name).read_text("utf-8")


def capture(tab: Tab, session: CDPSession, view: View) -> Shot:
    """Wait until everything is drawn, then take the tree and a picture, make all text transparent, take another picture."""
    _run_in_all_frames(tab, "stabilize.js", {"wait": int(min(view.seconds, 3) * 1000), "screens": SCREENS})
    snapshot = _snapshot(session)
    if "ellipsis" in snapshot.values("text-overflow") or snapshot.values("-webkit-line-clamp") != {"none"}:
        _run_in_all_frames(tab, "remove_ellipses.js")
        snapshot = _snapshot(session)
    quads = {node: _line_quads(session, node) for node in _transformed_texts(snapshot)}
    origins = {node: _content_origin(session, node) for node in _frame_elements(snapshot)}
    with_text = picture(session, view)
    _run_in_all_frames(tab, "hide_text.js", any("text" in value for value in snapshot.values("background-clip")))
    return Shot(with_text, picture(session, view), snapshot, quads, origins, _fonts(session, snapshot))


def _snapshot(session: CDPSession) -> Snapshot:
    wanted = {"computedStyles": list(STYLES), "includePaintOrder": False}
    return parse_snapshot(session.send("DOMSnapshot.captureSnapshot", wanted))


def _run_in_all_frames(tab: Tab, script: str, argument: bool | dict[str, int] = False) -> None:
    """Run a script in every frame that can answer."""
    for frame in tab.frames:
        if frame.url.startswith(SCRIPTABLE):
            frame.evaluate(_script(script), argument)


def picture(session: CDPSession, view: View) -> Pixels:
    """The viewport in device pixels, [height, width, 3], RGB. Without a clip the protocol gives CSS pixels."""
    clip = {"x": 0, "y": 0, "width": view.width, "height": view.height, "scale": view.scale}
    wanted = {"format": "png", "optimizeForSpeed": True, **({"clip": clip} if view.scale != 1 else {})}
    data = session.send("Page.captureScreenshot", wanted)["data"]
    return np.asarray(cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def _transformed_texts(snapshot: Snapshot) -> list[int]:
    """Backend ids of text nodes below an element whose transform leaves text other than upright."""
    strings, found = snapshot.strings, list[int]()
    for tree in snapshot.documents:
        turning = {
            node
            for node, styles in tree.styles().items()
            if is_turning(strings[styles[TRANSFORM]], strings[styles[ROTATE]])
        }
        if not turning:
            continue
        for each in tree.layout:
            if each.text is not None and _is_below(each.node, turning, tree.parents):
                found.append(tree.backend_ids[each.node])
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


def _is_below(node: int, ancestors: set[int], parents: list[int]) -> bool:
    while node >= 0:
        if node in ancestors:
            return True
        node = parents[node]
    return False


def _frame_elements(snapshot: Snapshot) -> list[int]:
    """Backend ids of elements that contain a document."""
    return [tree.backend_ids[node] for tree in snapshot.documents for node, _ in tree.frames]


def _line_quads(session: CDPSession, node: int) -> list[list[float]]:
    """One quad per line of a text node in CSS pixels of the viewport; empty if the node is not laid out."""
    try:
        found: list[list[float]] = session.send("DOM.getContentQuads", {"backendNodeId": node})["quads"]
    except Error:
        return []
    return found


def _content_origin(session: CDPSession, node: int) -> tuple[float, float]:
    """The top left corner of an iframe's content in CSS pixels of the viewport."""
    try:
        content = session.send("DOM.getBoxModel", {"backendNodeId": node})["model"]["content"]
    except Error:
        return NOT_LAID_OUT
    return float(content[0]), float(content[1])


def _fonts(session: CDPSession, snapshot: Snapshot) -> list[str]:
    """The fonts that drew the longest text of each of the page's font families."""
    nodes = _longest_texts(snapshot)
    session.send("DOM.getDocument", {"depth": 0})
    pushed = session.send("DOM.pushNodesByBackendIdsToFrontend", {"backendNodeIds": nodes})["nodeIds"]
    used = [session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"] for node in pushed if node]
    return sorted({font["familyName"] for fonts in used for font in fonts})


def _longest_texts(snapshot: Snapshot) -> list[int]:
    """Backend ids of text nodes, one for each of the first FAMILIES families."""
    best: dict[int, tuple[int, int]] = {}
    for tree in snapshot.documents:
        styles = tree.styles()
        for each in tree.layout:
            style = styles.get(tree.parents[each.node])
            if each.text is None or not style:
                continue
            family, length = style[FONT_FAMILY], len(each.text)
            if length > best.get(family, (0, 0))[0] and (family in best or len(best) < FAMILIES):
                best[family] = length, tree.backend_ids[each.node]
    return [node for _, node in best.values()]
