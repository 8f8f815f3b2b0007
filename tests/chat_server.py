"""A small service with the chat completions of OpenAI, in a process of its own: it looks at the images that it gets.

Its answers are a pure function of the request. ``control`` makes the next requests go wrong in a chosen way. Every answer
that it gives is a line in its log, written before the answer is sent, as a service that charges for answers would.
"""

import base64
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image

from tests.shared import HANG, ROOT

KEY = "the-key-of-a-test"


def seen(messages: list[dict[str, Any]]) -> tuple[str, np.ndarray | None]:
    """The prompt, and the pixels of the image in it."""
    content = messages[-1]["content"]
    if isinstance(content, str):
        return content, None
    text = next(part["text"] for part in content if part["type"] == "text")
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    if not urls:
        return text, None
    head, _, data = urls[0].partition(",")
    assert head in ("data:image/jpeg;base64", "data:image/png;base64"), head
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return text, np.asarray(image.convert("RGB"))


def answer_of(prompt: str, pixels: np.ndarray | None) -> str:
    """A number for a prompt that asks to rate, ``yes`` or ``no`` for a question, and otherwise a description."""
    level = 0.0 if pixels is None else float(pixels.mean())
    if prompt.startswith("Rate"):
        return str(1 + int(level) % 5)
    if prompt.startswith("Is "):
        return "Yes." if int(level) % 2 else "No."
    if prompt.startswith("JSON"):
        return json.dumps({"score": int(level) % 5, "reason": f"level {int(level)}", "sharp": level > 127})
    size = "no" if pixels is None else f"{pixels.shape[1]}x{pixels.shape[0]}"
    return f"A picture of {size} pixels and level {int(level)}, described as: {prompt[-60:]}"


@dataclass
class State:
    """What goes wrong (``mode``), with how many requests (-1: all), and the number of requests of every kind."""

    mode: str = "normal"
    times: int = 0
    value: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self, prompt: str) -> str:
        """The mode of this request."""
        with self.lock:
            wrong = self.times != 0 and (self.mode != "poison" or self.value in prompt)
            if wrong and self.times > 0:
                self.times -= 1
            mode = self.mode if wrong else "normal"
            self.counts[mode] = self.counts.get(mode, 0) + 1
            return mode


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State
    log: Path

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def send(self, status: int, content: Any, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # the client was killed or no longer waits
            self.wfile.write(data)

    def do_GET(self) -> None:
        self.send(200, {"counts": self.state.counts})

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/control":
            with self.state.lock:
                self.state.mode, self.state.times, self.state.value = (
                    content["mode"],
                    content["times"],
                    content["value"],
                )
            return self.send(200, {})
        if self.path != "/v1/chat/completions":
            return self.send(404, {"error": {"message": "no such page"}})
        if content["model"] == "locked" and self.headers["Authorization"] != f"Bearer {KEY}":
            return self.send(401, {"error": {"message": f"wrong key: {self.headers['Authorization']}"}})
        if content["model"] == "missing":
            return self.send(404, {"error": {"message": "The model `missing` does not exist."}})
        return self.answer(content, *seen(content["messages"]))

    def answer(self, content: dict[str, Any], prompt: str, pixels: np.ndarray | None) -> None:
        mode = self.state.turn(prompt)
        error = {"error": {"message": f"this is {mode}"}}
        if mode == "throttle":
            return self.send(429, error, Retry_After=self.state.value)
        if mode in ("error", "poison"):
            return self.send(500, error)
        if mode == "reject":
            return self.send(400, error)
        if mode == "close":
            return self.connection.shutdown(socket.SHUT_RDWR)
        if mode == "garbage":
            return self.send(200, b"<html>welcome</html>")
        if mode == "slow":
            time.sleep(float(self.state.value))
        text = self.state.value if mode == "say" else answer_of(prompt, pixels)
        message = {"role": "assistant", "content": text, "refusal": None}
        if mode == "refuse":
            message = {"role": "assistant", "content": None, "refusal": "I would rather not."}
        choice = {"index": 0, "message": message, "finish_reason": "length" if mode == "cut" else "stop"}
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(text.split())}
        self.note(content, prompt)
        return self.send(200, {"object": "chat.completion", "choices": [choice], "usage": usage})

    def note(self, content: dict[str, Any], prompt: str) -> None:
        line = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        with self.log.open("a") as file:
            file.write(
                json.dumps({"request": line, "prompt": prompt, "model": content["model"], "fields": sorted(content)})
                + "\n"
            )


@dataclass
class ChatServer:
    """A running service: its port, its log, its process."""

    port: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chat_server", str(self.port), str(self.log)], cwd=ROOT
        )
        end = time.monotonic() + HANG
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the service did not start")

    def kill(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(HANG)
            self.process = None

    def control(self, mode: str, times: int = -1, value: str = "") -> None:
        """The next requests (-1: all) go wrong in this way."""
        data = json.dumps({"mode": mode, "times": times, "value": value}).encode()
        with urlopen(Request(f"http://127.0.0.1:{self.port}/control", data=data), timeout=HANG):
            pass

    def counts(self) -> dict[str, int]:
        """Requests since the start of the process, by what became of them."""
        with urlopen(f"http://127.0.0.1:{self.port}/", timeout=HANG) as response:
            counts: dict[str, int] = json.load(response)["counts"]
            return counts

    def answered(self) -> list[dict[str, Any]]:
        """Every answer that was given, over all starts."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@contextmanager
def chat_server(folder: Path) -> Iterator[ChatServer]:
    """A service on a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    server = ChatServer(port, folder / "answers.log")
    server.start()
    try:
        yield server
    finally:
        server.kill()


def main(port: str, log: str) -> None:
    handler = type("Bound", (Handler,), {"state": State(), "log": Path(log)})
    ThreadingHTTPServer.request_queue_size = 128
    with ThreadingHTTPServer(("127.0.0.1", int(port)), handler) as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
