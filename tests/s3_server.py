"""A real S3 server program on loopback, and a proxy before it that fails on request."""

import http.client
import http.server
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from tests.shared import HANG

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
REFUSALS = {"expired": (400, "ExpiredToken"), "redirect": (301, "PermanentRedirect")}
FAULTS = ("refuse", "slow", "lost")


def environment(port: int) -> dict[str, str]:
    """What a process needs to find the server, as a user would set it."""
    return {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


def filesystem(port: int) -> Any:
    """A file system of its own on the server: nothing remembered, no instance shared."""
    import s3fs

    return s3fs.S3FileSystem(
        key="test", secret="test", endpoint_url=f"http://127.0.0.1:{port}", client_kwargs={"region_name": "us-east-1"},
        use_listings_cache=False, skip_instance_cache=True,
    )  # fmt: skip


@contextmanager
def s3_server() -> Iterator[int]:
    """``moto_server`` in a process of its own; yields its port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **CREDENTIALS}
    )
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(HANG)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + HANG
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("moto_server does not answer")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes requests on, but for faults: ``refuse`` (500), ``slow``, ``lost`` (500 after the request has arrived),
    ``expired`` (400, the token has expired), ``redirect`` (301, and no region to go to), ``cut`` (the connection ends
    without an answer), ``freeze`` (half of the answer, then nothing until the client leaves).

    ``plan`` is worked off first; then each request meets one of ``faults`` with the probability ``share``.
    """

    target = 0
    plan: ClassVar[list[str]] = []
    share: ClassVar[float] = 0.0
    chance: ClassVar[random.Random] = random.Random(0)
    faults: ClassVar[tuple[str, ...]] = FAULTS
    slow: ClassVar[float] = 1.5  # seconds
    dropped: ClassVar[tuple[str, ...]] = ()  # headers of requests, in small letters
    lock = threading.Lock()
    seen: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self._body()
        fault = self._fault()
        if fault == "cut":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(self.slow)
        status, code = REFUSALS.get(fault, (500, "InternalError"))
        given: list[tuple[str, str]] = []
        content = f"<Error><Code>{code}</Code><Message>{code} by the proxy</Message></Error>".encode()
        if fault != "refuse" and fault not in REFUSALS:
            upstream = http.client.HTTPConnection("127.0.0.1", self.target, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in self.dropped}
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            answer = response.read()
            upstream.close()
            if fault != "lost":
                status, given, content = response.status, response.getheaders(), answer
        if fault == "freeze":
            self._freeze(content)
            return
        self._reply(status, given, content)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _fault(self) -> str:
        with self.lock:
            fault = self.plan.pop(0) if self.plan else "pass"
            if fault == "pass" and self.chance.random() < self.share:
                fault = self.chance.choice(self.faults)
            self.seen.append(f"{self.command} {fault}")
        return fault

    def _freeze(self, content: bytes) -> None:
        """The first half of an answer; then wait until the client closes the connection."""
        self.send_response(200)
        self.send_header("Content-Length", str(max(2, len(content))))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.connection.settimeout(60)
        with suppress(OSError):
            self.connection.recv(1)
        self.close_connection = True

    def _reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        head = self.command == "HEAD"
        size = next((v for n, v in headers if n.lower() == "content-length"), "0") if head else str(len(content))
        self.send_header("Content-Length", size)
        self.end_headers()
        if not head:
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def faulty_proxy(
    server: int, share: float = 0.0, slow: float = 1.5, seed: int = 0, faults: tuple[str, ...] = FAULTS
) -> Iterator[int]:
    """A proxy before the server; yields its port."""
    Proxy.target, Proxy.plan, Proxy.seen, Proxy.share = server, [], [], share
    Proxy.slow, Proxy.chance, Proxy.faults = slow, random.Random(seed), faults
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield int(proxy.server_address[1])
    finally:
        proxy.shutdown()
        proxy.server_close()
