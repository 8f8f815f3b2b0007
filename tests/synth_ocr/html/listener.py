"""A server on loopback that hears every channel by which a page could reach the network."""

import contextlib
import re
import select
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

TCP = ("http", "preconnect", "webrtc_tcp")  # a connection says which channel it is by its port, a request by its path
UDP = ("webtransport", "webrtc_udp")


@dataclass(frozen=True)
class Content:
    """What the server answers for one path."""

    body: str
    kind: str
    headers: tuple[str, ...] = ()


@dataclass
class Listener:
    """``heard``: connections, requests and datagrams by channel. ``contents``: answers by path; others are empty."""

    sockets: dict[str, socket.socket]
    contents: dict[str, Content] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)

    def port(self, channel: str) -> int:
        return int(self.sockets[channel].getsockname()[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port('http')}"

    def serve(self, ended: socket.socket) -> None:
        channels = {each: channel for channel, each in self.sockets.items()}
        while True:
            ready = select.select([*channels, ended], [], [])[0]
            if ended in ready:
                return
            for each in ready:
                channel = channels[each]
                if channel in UDP:
                    each.recv(65536)
                    self.heard[channel] += 1
                    continue
                connection = each.accept()[0]
                if channel == "http":
                    threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
                else:
                    self.heard[channel] += 1
                    connection.close()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            found = re.match(r"\w+ /(\w*)", connection.recv(65536).decode("latin-1"))
            if found is None:
                return
            self.heard[found[1]] += 1
            content = self.contents.get(found[1], Content("", "text/plain"))
            lines = ("HTTP/1.1 200 OK", f"Content-Type: {content.kind}", f"Content-Length: {len(content.body)}",
                     "Connection: close", *content.headers, "", content.body)  # fmt: skip
            connection.sendall("\r\n".join(lines).encode())


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """A running listener."""
    with contextlib.ExitStack() as stack:
        sockets = {each: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for each in TCP}
        for each in UDP:
            sockets[each] = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sockets[each].bind(("127.0.0.1", 0))
        listener = Listener(sockets)
        end, ended = socket.socketpair()
        stack.enter_context(ended)
        thread = threading.Thread(target=listener.serve, args=(ended,))
        thread.start()
        try:
            yield listener
        finally:
            end.close()
            thread.join()
