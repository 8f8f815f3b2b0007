"""What a page asks for, answered from its own folder or archive; all else is refused.

The whole browser's requests come here (those of frames, workers and windows, too), and contexts are offline besides. Each
round costs milliseconds in three processes, so answers may be kept by the browser: pages of one folder share style sheets
and pictures. The context ends where another folder or archive begins.
"""

import base64
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from playwright.sync_api import CDPSession, Error

KEPT = {"name": "Cache-Control", "value": "max-age=31536000, immutable"}
EMPTY = "text/html", b"<!doctype html>"
# what could run a script or would look otherwise without scripts, and documents inside the document
LIVELY = re.compile(
    rb"<script|<noscript|[\s\"'/]on[a-z]+\s*=|javascript:|<i?frame|<object|<embed|shadowrootmode|=\s*[\"']?\s*refresh|\x00",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Job:
    """A page to render: its URL and where responses come from, a folder or a mapping of URL to (type, bytes).

    ``content``: the page itself, one of ours: it needs nothing else and runs no scripts.
    """

    key: str
    url: str
    root: str = ""
    responses: Mapping[str, tuple[str, bytes]] | None = None
    content: str = ""


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def found(url: str, job: Job) -> tuple[str, bytes] | None:
    """Content type and bytes of a URL, of the job's archive or of its folder and what lies below it."""
    url = url.partition("#")[0]
    if job.content:
        return None
    if job.responses is not None:
        return job.responses.get(url)
    if origin_of(url) != origin_of(job.url):
        return None
    root = Path(job.root).resolve()
    path = (root / unquote(urlsplit(url).path).lstrip("/")).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return None
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return (f"{kind}; charset=utf-8" if kind.startswith("text/") else kind), path.read_bytes()


def is_still(job: Job) -> bool:
    """Whether the page itself holds nothing that runs: it is shown with scripts off, and can leave nothing behind."""
    page = found(job.url, job)
    return page is not None and not LIVELY.search(page[1])


def respond(session: CDPSession, paused: dict[str, Any], job: Job, main: set[str]) -> None:
    """Answer one request (Fetch.requestPaused). ``main``: ids of the tabs' own frames.

    A frame that is refused becomes an empty page, since a frame that failed never answers scripts.
    """
    request, name = paused["request"], {"requestId": paused["requestId"]}
    response = found(request["url"], job)
    if response is None and paused["resourceType"] == "Document" and paused.get("frameId") not in main:
        response = EMPTY
    try:
        if response is None:
            session.send("Fetch.failRequest", {**name, "errorReason": "BlockedByClient"})
        else:
            body = base64.b64encode(response[1]).decode()
            headers = [{"name": "Content-Type", "value": response[0]}, KEPT, *_shared(request["headers"])]
            session.send(
                "Fetch.fulfillRequest", {**name, "responseCode": 200, "responseHeaders": headers, "body": body}
            )
    except Error:
        return  # its frame is gone


def _shared(asked: Mapping[str, str]) -> list[dict[str, str]]:
    """Leave to read an answer for another origin that asks for it: archives hold no such headers."""
    origin = next((value for name, value in asked.items() if name.lower() == "origin"), "")
    if not origin:
        return []
    allow = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
    return [{"name": name, "value": value} for name, value in allow.items()]
