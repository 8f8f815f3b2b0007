"""What guards the app: names and tokens, methods, headers, static files; and errors in one line."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view.run import is_loopback
from tests.served import ROOT, ask, fetch, served
from tests.shared import HANG


@pytest.fixture(scope="module")
def base(curated: tuple[Path, Recipe]) -> Iterator[str]:
    with served(curated[0]) as address:
        yield address


def test_it_listens_on_loopback_and_answers_to_loopback_names_alone(base: str) -> None:
    assert base.startswith("http://127.0.0.1:")
    assert fetch(base)[0] == 200
    assert fetch(base, host="localhost:80")[0] == 200
    for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
        status, _, body = fetch(f"{base}api/output", host=name)
        assert status in (400, 403) and b"small" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_can_only_be_read(base: str, method: str) -> None:
    assert fetch(base, method)[0] == 405


def test_every_answer_carries_the_policy(base: str) -> None:
    for path in ("", "static/app.js", "api/output", "api/nothing", "picture?key=x"):
        headers = fetch(base + path)[1]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "static/../server.py",
        "static/..%2fserver.py",
        "static/%2e%2e/server.py",
        "static//etc/passwd",
        "api/../../etc/passwd",
        "picture?key=../../recipe.json-1",
    ],
)
def test_no_path_leads_out(base: str, path: str) -> None:
    status, _, body = fetch(base + path)
    assert status in (204, 400, 404) and b"import" not in body and b"root:" not in body


def test_mistakes_are_one_line(base: str) -> None:
    for path in (
        "api/rows?f=nothing:is:1",
        "api/rows?table=nothing",
        "api/rows?from=-1",
        "api/histogram?column=caption",
        "api/row?key=x",
        "api/counts?by=width",
        "api/whatif?w=nothing=1",
    ):
        status, _, body = fetch(base + path)
        assert status == 400
        assert "\n" not in json.loads(body)["error"]


def test_a_row_without_a_picture_says_why(base: str) -> None:
    dropped = ask(base, "rows", f="verdict:is:image_size")["rows"][0]["_key"]
    status, headers, body = fetch(f"{base}picture?key={dropped}")
    assert (status, body) == (204, b"") and "recipe" in headers["x-why"]


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


def test_a_run_that_changes_the_output_is_followed(curated: tuple[Path, Recipe], tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", curated[1]
    shutil.copytree(curated[0], out)
    with served(out) as address:
        before = ask(address, "total")
        other = recipe.model_copy(update={"filters": recipe.filters.model_copy(update={"word_count": None})})
        with RunProgress() as progress:
            run(other, out, SerialPool(), progress, fresh=True)
        after = ask(address, "total")
        assert after["rows"] == before["rows"] == 48 and after["kept"] > before["kept"]
        (out / "manifests" / "select.json").unlink()
        (out / "shards" / "dataset.json").unlink()
        status, _, body = fetch(f"{address}api/total")
        assert status == 400 and b"no finished output" in body
