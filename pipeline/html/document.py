"""A page as one self-contained HTML file: style, scripts and data are inside, and nothing is loaded from elsewhere."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qvl.pipeline.html.elements import Html, join, tag
from qvl.pipeline.html.sections import Section, contents

HERE = Path(__file__).parent
STYLE_FILE = HERE / "style.css"


@dataclass(frozen=True, slots=True)
class Page:
    """What a page holds. ``name`` heads the contents. ``library`` runs before ``script``; both are sources."""

    title: str
    name: str
    header: Html
    sections: Sequence[Section]
    script: str = ""
    library: str = ""


def document(page: Page) -> Html:
    """The page. Scripts run only if the policy lists their hash; the policy refuses every request."""
    own = page.script + (HERE / "contents.js").read_text("utf-8")
    scripts = [_source(text) for text in (page.library, own) if text]
    head = tag(
        "head",
        tag("meta", attributes={"charset": "utf-8"}),
        tag("meta", attributes={"http-equiv": "Content-Security-Policy", "content": _policy(scripts)}),
        tag("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        tag("link", attributes={"rel": "icon", "href": "data:,"}),
        tag("title", page.title),
        tag("style", _source(STYLE_FILE.read_text("utf-8"))),
    )
    main = tag("main", page.header, *(each.content for each in page.sections))
    links = contents(page.name, page.sections)
    body = tag("body.page", links, main, *(tag("script", each) for each in scripts), attributes={"id": "top"})
    return Html(f'<!doctype html>\n<html lang="en">\n{join([head, body], chr(10))}\n</html>\n')


def _policy(scripts: Sequence[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def _source(text: str) -> Html:
    """A file of ours or of Plotly, unescaped. Browsers read every line ending as a line feed, and hash that."""
    return Html(text.replace("\r\n", "\n").replace("\r", "\n"))
