"""The app as a command: where it listens, and how it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view.run import is_loopback
from tests.served import ROOT, ask, fetch, served
from tests.shared import HANG


def test_any_other_address_asks_for_a_token(curated: tuple[Path, Recipe]) -> None:
    with served(curated[0], "--host", "0.0.0.0") as address:
        local = address.replace("0.0.0.0", "127.0.0.1")
        bare, token = local.split("?token=")
        assert len(token) >= 32
        for path in ("", "api/output", "static/app.js", "picture?key=x", "?token=wrong", f"?token={token[:-1]}"):
            assert fetch(bare + path)[0] == 401
        assert fetch(f"{bare}api/output", cookie=f"qvl_view={token}")[0] == 200
        status, headers, _ = _without_redirect(local)
        assert status == 303 and "token" not in headers["location"]
        assert "HttpOnly" in headers["set-cookie"] and "samesite=strict" in headers["set-cookie"].lower()


def _without_redirect(url: str) -> tuple[int, dict[str, str], bytes]:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=HANG)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["{out}", "--recipe", "nowhere.yaml"], ["{out}", "--host", "256.1.1.1"]]
)
def test_what_cannot_be_served_is_one_line(curated: tuple[Path, Recipe], arguments: list[str]) -> None:
    filled = [each.format(out=curated[0]) for each in arguments]
    command = [sys.executable, "-c", "from qvl.command import main; main()", "view", *filled, "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=HANG)
    assert result.returncode == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_a_word(curated: tuple[Path, Recipe], sent: signal.Signals) -> None:
    command = [sys.executable, "-c", "from qvl.command import main; main()", "view", str(curated[0]), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        assert ask(address, "total")["rows"] == 48
        process.send_signal(sent)
        assert process.communicate(timeout=HANG)[1] == ""
