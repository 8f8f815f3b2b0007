"""The app as a user starts it: the real command in a process of its own, on a free port."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.shared import HANG

ROOT = Path(__file__).parents[1]


@contextmanager
def served(out: Path, *flags: str, before: str = "") -> Iterator[str]:
    """The address that ``qvl view`` prints, while it runs; ``before`` are statements in front of it."""
    command = [
        sys.executable,
        "-c",
        f"{before}\nfrom qvl.command import main; main()",
        "view",
        str(out),
        "--port",
        "0",
        *flags,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise AssertionError(process.stderr.read())
            yield line.split()[0]
        finally:
            process.terminate()


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, whatever the status is."""
    request = Request(url, method=method, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urlopen(request, timeout=HANG) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read()
    except HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def ask(base: str, name: str, **query: Any) -> Any:
    """The answer of an address below /api/ as data."""
    status, _, body = fetch(f"{base}api/{name}?{urlencode(query, doseq=True)}")
    assert status == 200, body
    return json.loads(body)
