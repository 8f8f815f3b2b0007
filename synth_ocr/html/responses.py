"""Responses to a page's requests from its archive, or from the files that it names; everything else is refused.

The requests of pages, frames, workers and windows come here. What the browser loads by itself (prefetching, prerendering)
and WebRTC do not; ``isolation`` keeps those off the network. Each request costs milliseconds in three processes, so the
browser may cache responses: pages of one folder share style sheets and pictures. A page from another folder or archive gets
a new context.
"""

import base64
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict
from urllib.parse import unquote, urlsplit

from playwright.sync_api import CDPSession, Error

from qvl.synth_ocr.html.references import file_path, named_files

CACHEABLE = {"name": "Cache-Control", "value": "max-age=31536000, immutable"}
EMPTY_PAGE = "text/html", b"<!doctype html>"
# anything that could run a script or would look different without scripts, and documents within the document
ACTIVE = re.compile(
    rb"<script|<noscript|[\s\"'/]on[a-z]+\s*=|javascript:|<i?frame|<object|<embed|shadowrootmode|=\s*[\"']?\s*refresh|\x00",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Job:
    """A page to render: its URL and the source of its responses: a folder, of which it can load the files that it
    names, or a mapping of URL to (content type, bytes).

    ``content``: the page itself, if it is one of our templates: it loads nothing else and runs no scripts.
    """

    key: str
    url: str
    root: str = ""
    responses: Mapping[str, tuple[str, bytes]] | None = None
    content: str = ""


def origin_of(url: str) -> str:
    """Scheme and host of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def find_response(url: str, job: Job) -> tuple[str, bytes] | None:
    """Content type and bytes of a URL from the job's archive, or of a file that the page names; None if refused."""
    url = url.partition("#")[0]
    if job.content:
        return None
    if job.responses is not None:
        return job.responses.get(url)
    if origin_of(url) != origin_of(job.url):
        return None
    root = Path(job.root).resolve()
    path = file_path(url, root)
    if path is None or unquote(urlsplit(url).path) not in named_files(job.url, root):
        return None
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return (f"{kind}; charset=utf-8" if kind.startswith("text/") else kind), path.read_bytes()


def is_static(job: Job) -> bool:
    """Whether the page contains nothing that runs: it can be shown without scripts and leaves no state behind."""
    page = find_response(job.url, job)
    return page is not None and not ACTIVE.search(page[1])


class InterceptedRequest(TypedDict):
    """The request inside a ``PausedRequest``."""

    url: str
    headers: dict[str, str]


class PausedRequest(TypedDict):
    """The keys of Chromium's event Fetch.requestPaused that are read here. A request may belong to no frame."""

    requestId: str
    request: InterceptedRequest
    resourceType: str
    frameId: NotRequired[str]


def respond(session: CDPSession, paused: PausedRequest, job: Job, main: set[str]) -> None:
    """Answer one request (Fetch.requestPaused). ``main``: ids of the tabs' main frames.

    A refused frame becomes an empty page, because a frame that failed to load never answers scripts.
    """
    request, name = paused["request"], {"requestId": paused["requestId"]}
    response = find_response(request["url"], job)
    if response is None and paused["resourceType"] == "Document" and paused.get("frameId") not in main:
        response = EMPTY_PAGE
    try:
        if response is None:
            session.send("Fetch.failRequest", {**name, "errorReason": "BlockedByClient"})
        else:
            body = base64.b64encode(response[1]).decode()
            headers = [
                {"name": "Content-Type", "value": response[0]},
                CACHEABLE,
                *_cross_origin_headers(request["headers"]),
            ]
            session.send(
                "Fetch.fulfillRequest", {**name, "responseCode": 200, "responseHeaders": headers, "body": body}
            )
    except Error:
        return  # the frame that requested it is gone


def _cross_origin_headers(request_headers: Mapping[str, str]) -> list[dict[str, str]]:
    """Permission to read a response for another origin that requests it: archives do not have these headers."""
    origin = next((value for name, value in request_headers.items() if name.lower() == "origin"), "")
    if not origin:
        return []
    allow = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
    return [{"name": name, "value": value} for name, value in allow.items()]
