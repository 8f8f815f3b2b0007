"""The web app: its routes and their guard. It only answers GET and HEAD, and cannot write."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.html.document import STYLE_FILE
from qvl.pipeline.view.answers import Answers
from qvl.pipeline.view.tables.faults import UNREADABLE, reason

PAGES = Path(__file__).parent / "pages"
COOKIE = "qvl_view"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
POLL_SECONDS = 0.2

Work = Callable[[Answers, Any, Request], Any]


def app(answers: Answers, token: str | None) -> ASGIApp:
    """The application. Without a token, it only answers requests to a loopback name."""
    routes: list[Route | Mount] = [
        Route("/", _page),
        Route("/static/style.css", _style),
        Mount("/static", StaticFiles(directory=PAGES)),
        *(Route(f"/api/{name}", _json(getattr(Answers, name))) for name in Answers.NAMES),
        Route("/picture", _picture),
    ]
    inner = Starlette(routes=routes)
    inner.state.answers = answers
    return Guard(inner, token)


class Guard:
    """Refuses requests from elsewhere without a token and all methods but GET and HEAD, and sets the headers.

    A page of another site can make a browser send requests here under a name of its own (DNS rebinding). Therefore the
    name must be a loopback name, or the request must carry the token.
    """

    def __init__(self, inner: ASGIApp, token: str | None) -> None:
        self.inner, self.token = inner, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        refusal = self._refusal(Request(scope))
        await (refusal or self.inner)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return Response("read-only\n", 405, {"allow": "GET, HEAD"})
        if self.token is None:
            host = request.headers.get("host", "").rsplit(":", 1)[0] if request.headers.get("host") else ""
            return None if host in LOOPBACK else Response("this app only answers to loopback names\n", 403)
        sent = request.query_params.get("token")
        if sent is not None and _same(sent, self.token):
            target = request.url.remove_query_params("token")
            response = RedirectResponse(f"{target.path}{'?' + target.query if target.query else ''}", 303)
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return response
        if _same(request.cookies.get(COOKIE, ""), self.token):
            return None
        return Response("open the address that `qvl view` printed: it contains the token\n", 401)


def _same(sent: str, token: str) -> bool:
    return secrets.compare_digest(sent.encode(), token.encode())


async def _style(request: Request) -> Response:
    return FileResponse(STYLE_FILE, media_type="text/css", headers={"cache-control": "no-cache"})


async def _page(request: Request) -> Response:
    page = (PAGES / "page.html").read_bytes()
    return Response(page, media_type="text/html", headers={"cache-control": "no-cache"})


def _json(method: Work) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await _answered(request, lambda answers, cursor: _dumped(method(answers, cursor, request)))

    return endpoint


def _dumped(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json", headers={"cache-control": "no-store"})


def _refused(error: QvlError) -> Response:
    return Response(orjson.dumps({"error": str(error)}), 400, media_type="application/json")


async def _picture(request: Request) -> Response:
    def encoded(answers: Answers, cursor: Any) -> Response:
        try:
            data = answers.picture(cursor, request)
        except QvlError as error:  # not a failure: many rows have no picture
            return Response(
                status_code=204, headers={"x-why": quote(str(error)), "cache-control": "private, max-age=60"}
            )
        return Response(data, media_type="image/webp", headers={"cache-control": "private, max-age=600"})

    return await _answered(request, encoded)


async def _answered(request: Request, work: Callable[[Answers, Any], Response]) -> Response:
    """Run the work in a thread. It is interrupted when the browser no longer waits for it."""
    answers: Answers = request.app.state.answers
    try:
        cursor = answers.cursor()
    except QvlError as error:  # a run is changing the output
        return _refused(error)
    request.state.gone = threading.Event()

    def run() -> Response:
        try:
            return work(answers, cursor)
        except QvlError as error:
            return _refused(error)
        except answers.Interrupted:
            return Response(status_code=499)
        except UNREADABLE as error:  # the files of the output are untrusted: any of them may hold anything
            return _refused(DataError(f"the output cannot be read: {reason(error)}"))

    job = asyncio.ensure_future(run_in_threadpool(run))
    try:
        while not job.done():
            await asyncio.wait({job}, timeout=POLL_SECONDS)
            if not job.done() and await request.is_disconnected():
                request.state.gone.set()
                cursor.interrupt()
    except asyncio.CancelledError:  # Ctrl-C while a query runs
        return Response("the app is shutting down\n", 503)
    return job.result()
