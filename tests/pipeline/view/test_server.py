"""What guards the app: names and tokens, methods, headers, static files; and errors in one line."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qvl.pipeline.base.pool import SerialPool
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.curate.run import run
from qvl.pipeline.recipe.recipe import Recipe
from tests.served import ask, fetch, served


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
