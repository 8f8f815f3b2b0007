"""A web server on loopback whose files open only with a token in the query or with a password."""

import base64
import http.server
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.loopback import serving

TOKEN = "sv=2026-01-01&sp=rl&sig=s3cr3t%2Fa%2Bb%3D"
RENEWED = "sv=2027-07-07&sp=rl&sig=r3n3w3d%2Fc%2Bd%3D"
SECRETS = ("s3cr3t", "r3n3w3d", "sv=2026", "sv=2027", "hunter2")


@dataclass
class WebServer:
    """``query``: the raw query that opens a file, ``only`` restricts it to these names. ``password``: NAME:PASSWORD.

    ``ranges``, ``heads``, ``lists``: whether the server knows ranges, HEAD and listings. ``failures``: that many answers are
    503. ``expires_after``: the number of answers after which nothing opens. ``asked`` are the requests as they came.
    """

    root: Path
    port: int = 0
    query: str | None = None
    only: frozenset[str] | None = None
    password: str | None = None
    ranges: bool = True
    heads: bool = True
    lists: bool = True
    sized: bool = True
    failures: int = 0
    expires_after: int | None = None
    asked: list[str] = field(default_factory=list)

    def url(self, name: str, query: str | None = None, user: str = "") -> str:
        """The address of a file, signed by ``query`` if given."""
        return f"http://{user}127.0.0.1:{self.port}/{name}{f'?{query}' if query else ''}"


@contextmanager
def web_server(root: Path, **settings: object) -> Iterator[WebServer]:
    """Serve a folder; the settings may be changed while the server runs."""
    state = WebServer(root, **settings)  # type: ignore[arg-type]

    class Handler(_Handler):
        server_state = state

    with serving(Handler) as port:
        state.port = port
        yield state


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: WebServer

    def log_message(self, format: str, *values: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        if self.server_state.heads:
            self.do_GET()
        else:
            self._answer(403, b"")

    def do_GET(self) -> None:
        state, parts = self.server_state, urlsplit(self.path)
        state.asked.append(self.path)
        name = unquote(parts.path).lstrip("/")
        path = state.root / name
        if state.failures:
            state.failures -= 1
            self._answer(503, b"busy")
        elif not self._opens(parts.query, name):
            self._answer(403, b"refused")
        elif path.is_dir() and state.lists:
            links = "".join(f'<a href="{each.name}">{each.name}</a>\n' for each in sorted(path.iterdir()))
            self._answer(200, f'<a href="?C=N;O=D">Name</a>{links}'.encode(), "text/html")
        elif path.is_file():
            self._file(path.read_bytes())
        else:
            self._answer(404, b"none")

    def _opens(self, query: str, name: str) -> bool:
        state = self.server_state
        if state.expires_after is not None:
            state.expires_after -= 1
            if state.expires_after < 0:
                return False
        if state.only is not None and name not in state.only:
            return False
        if state.password is not None:
            wanted = "Basic " + base64.b64encode(state.password.encode()).decode()
            return self.headers.get("Authorization") == wanted
        return state.query is None or query == state.query

    def _file(self, data: bytes) -> None:
        asked = self.headers.get("Range", "")
        if not self.server_state.ranges or not asked.startswith("bytes="):
            self._answer(200, data)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        end = int(last) + 1 if last else len(data)
        self._answer(206, data[int(first) : end], extra={"Content-Range": f"bytes {first}-{end - 1}/{len(data)}"})

    def _answer(
        self, code: int, body: bytes, kind: str = "application/octet-stream", extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if self.server_state.sized:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
