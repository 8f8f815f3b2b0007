"""A local server of the endpoints of the Hugging Face Hub that reading a dataset needs, over a folder of files."""

import hashlib
import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback import serving

REPOSITORY = "org/name"
COMMIT = "0" * 40


@contextmanager
def hub(folder: Path) -> Iterator[str]:
    """Serve ``folder`` as the dataset REPOSITORY. Gives the address of the hub."""

    class Handler(_Handler):
        root = folder

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def log_message(self, format: str, *values: object) -> None:
        """Nothing is logged."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).replace(f"/{COMMIT}", "/main")
        api, files = f"/api/datasets/{REPOSITORY}", f"/datasets/{REPOSITORY}/resolve/main/"
        if path in (api, f"{api}/revision/main"):
            self._json({"id": REPOSITORY, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "likes": 0})
        elif path.startswith(f"{api}/tree/main"):
            self._tree(path.removeprefix(f"{api}/tree/main").strip("/"))
        elif path.startswith(files) and (self.root / path.removeprefix(files)).is_file():
            self._file(self.root / path.removeprefix(files))
        else:
            missing = "EntryNotFound" if path.startswith((api, files)) else "RepoNotFound"
            self._answer(404, b"{}", {"X-Error-Code": missing})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        paths = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
        self._json([self._entry(self.root / path) for path in paths if (self.root / path).exists()])

    def _tree(self, below: str) -> None:
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() == "true"
        folder = self.root / below
        if not folder.is_dir():
            self._answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        self._json([self._entry(path) for path in sorted(folder.rglob("*") if recursive else folder.iterdir())])

    def _entry(self, path: Path) -> dict[str, Any]:
        name = str(path.relative_to(self.root))
        oid = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        if path.is_dir():
            return {"type": "directory", "oid": oid, "path": name, "size": 0}
        return {"type": "file", "oid": oid, "path": name, "size": path.stat().st_size}

    def _file(self, path: Path) -> None:
        data, start, code = path.read_bytes(), 0, 200
        etag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        extra = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, code = int(first), 206
            extra["Content-Range"] = f"bytes {first}-{last or len(data) - 1}/{len(data)}"
            data = data[start : int(last) + 1 if last else None]
        self._answer(code, data, extra, "application/octet-stream")

    def _json(self, content: object) -> None:
        self._answer(200, json.dumps(content).encode(), {})

    def _answer(self, code: int, body: bytes, extra: dict[str, str], kind: str = "application/json") -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
