"""Serves the app: the socket, the token, and the address that is printed."""

import ipaddress
import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from qvl.pipeline.base.errors import QvlError
from qvl.pipeline.view.answers import Answers
from qvl.pipeline.view.server import app


def serve(answers: Answers, host: str, port: int, say: Callable[[str], object]) -> None:
    """Serve an output's answers until Ctrl-C. ``say`` gets one line with the address once it is open.

    Raises QvlError if the address cannot be used.
    """
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    listening = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    say(f"{address}{'?token=' + token if token else ''}   press Ctrl-C to stop")
    threading.Thread(target=answers.warm, daemon=True).start()
    config = uvicorn.Config(
        app(answers, token), log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
    # a running query would keep the terminal busy; nothing is written, so nothing can be lost
    os._exit(0)


def is_loopback(host: str) -> bool:
    """Whether other machines cannot reach this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        raise QvlError(f"cannot listen on {host} port {port}: {error}; choose another --port or --host") from None
    return listening
