"""A report as one HTML file: style, plotly, a script and its data inside; nothing is loaded from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from plotly.offline import get_plotlyjs

from qvl.pipeline.html.elements import Html, join, tag

HERE = Path(__file__).parent


def document(
    title: str, contents: Html, header: Html, sections: Iterable[Html], data: Any, script: str, style: str = ""
) -> Html:
    """The page. Scripts run by their hash alone: the policy refuses any other, and every request.

    ``data`` is what ``script`` reads from the element ``data``; ``style`` is added to that of all reports.
    """
    scripts = [own_file(get_plotlyjs()), own_file(script)]
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}"
    places = {
        "POLICY": tag("meta", attributes={"http-equiv": "Content-Security-Policy", "content": policy}),
        "TITLE": tag("title", title),
        "STYLE": tag("style", own_file((HERE / "style.css").read_text("utf-8") + style)),
        "CONTENTS": contents,
        "HEADER": header,
        "MAIN": join(sections),
        "DATA": tag("script", inert(data), attributes={"type": "application/json", "id": "data"}),
        "SCRIPTS": join(tag("script", each) for each in scripts),
    }
    pieces = (HERE / "page.html").read_text("utf-8").split("%%")
    return Html("".join(places[piece] if i % 2 else piece for i, piece in enumerate(pieces)))


def own_file(own: str) -> Html:
    """A file of ours or of plotly as it is; browsers read every line ending as a line feed, and hash that."""
    return Html(own.replace("\r\n", "\n").replace("\r", "\n"))


def inert(data: Any) -> Html:
    """Data as JSON that cannot end its script element."""
    text = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
