"""Whole runs over files that only a token or a password opens: no output, message or log gives it away."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.adversary.commands import Ended, qvl
from tests.pipeline.samples import jpeg, tar_bytes, write_img2dataset
from tests.pipeline.storage.web_server import RENEWED, SECRETS, TOKEN, WebServer, web_server
from tests.s3_server import environment, filesystem, s3_server

USER = "me:hunter2@"


def rows(first: int, number: int) -> list[dict[str, Any]]:
    return [
        {
            "key": f"{n:09d}",
            "caption": f"a picture of the number {n}",
            "url": f"https://example.org/{n}.jpg?size=big",
            "image": jpeg(n) if n % 3 else None,
        }
        for n in range(first, first + number)
    ]


def fill(root: Path) -> None:
    """Two tars with failed downloads, and a table of files in a folder."""
    write_img2dataset(root / "data", "00000", rows(1, 6))
    write_img2dataset(root / "data", "00001", rows(11, 6))
    (root / "pictures").mkdir()
    lines = ["file,caption"]
    for n in range(3):
        name = f"{n}#?.jpg"
        (root / "pictures" / name).write_bytes(jpeg(50 + n))
        lines.append(f"{name},a picture called {n}")
    (root / "data" / "table.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    fill(tmp_path / "web")
    with web_server(tmp_path / "web", query=TOKEN) as found:
        yield found


def recipe(folder: Path, server: WebServer, query: str | None, user: str = "") -> Path:
    """A recipe over everything that the server has."""
    tars = {"kind": "webdataset", "paths": [server.url("data/{00000..00001}.tar", query, user)]}
    table = {
        "kind": "table",
        "paths": [server.url("data/table.csv", query, user)],
        "image_folder": server.url("pictures", query, user),
        "columns": {"caption": "caption", "path": "file"},
    }
    path = folder / "recipe.yaml"
    path.write_text(
        json.dumps({"name": "web", "sources": [{"name": "tars", "read": tars}, {"name": "table", "read": table}]})
    )
    return path


def hidden(ended: Ended) -> Ended:
    """What a command printed, which gives nothing away."""
    assert not [secret for secret in SECRETS if secret in ended.out + ended.err], ended
    return ended


def content(out: Path) -> dict[str, bytes]:
    """Every file of an output, hidden ones too; none of them, and no name, has a secret."""
    found = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    for name, data in found.items():
        assert not [secret for secret in SECRETS if secret in name or secret.encode() in data], name
    return found


def run(path: Path, out: Path) -> Ended:
    return hidden(qvl("curate", "run", str(path), "--output", str(out)))


def verdicts(out: Path) -> list[str]:
    tables = [pq.read_table(path) for path in sorted((out / "ledger").glob("*.parquet"))]
    return sorted(verdict for table in tables for verdict in table["verdict"].to_pylist())


EXPECTED = sorted(["keep"] * 11 + ["download:failed_to_download"] * 4)


def test_run_when_addresses_are_signed_keeps_all_rows_and_no_token(server: WebServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = run(recipe(tmp_path, server, TOKEN), out)
    assert ended.status == 0, ended.err
    assert verdicts(out) == EXPECTED
    files = content(out)
    origins = pq.read_table(next((out / "shards").glob("*.parquet")))["origin_file"].to_pylist()
    assert set(origins) == {"00000.tar", "00001.tar", "table.csv"}
    assert {asked.partition("?")[2] for asked in server.asked} == {TOKEN}
    for command in (
        ["plan", str(tmp_path / "recipe.yaml"), "--output", str(out)],
        ["audit", str(out)],
        ["trace", str(out), "--row", "00000.tar", "0"],
        ["trace", str(out), "--row", "00000.tar", "0", "--json"],
        ["whatif", str(out), "image_size.minimum_side=2"],
        ["run", str(tmp_path / "recipe.yaml"), "--output", str(out)],
    ):
        ended = hidden(qvl("curate", *command))
        assert ended.status == 0, ended
    assert content(out).items() >= files.items()  # whatif keeps what it computed


def test_run_when_the_token_is_renewed_repeats_nothing(server: WebServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(recipe(tmp_path, server, TOKEN), out).status == 0
    before = {path: path.stat().st_mtime_ns for path in (out / "manifests").rglob("*.json")}
    files, server.query = content(out), RENEWED
    ended = run(recipe(tmp_path, server, RENEWED), out)
    assert ended.status == 0, ended.err
    assert content(out) == files
    scans = [path for path in before if path.parent.name == "scan"]
    assert len(scans) == 3
    assert all(path.stat().st_mtime_ns == before[path] for path in scans)
    again = tmp_path / "again"
    assert run(recipe(tmp_path, server, RENEWED), again).status == 0
    assert content(again) == files


def test_run_when_a_password_opens_the_files_keeps_no_password(server: WebServer, tmp_path: Path) -> None:
    server.query, server.password = None, USER.removesuffix("@")
    ended = run(recipe(tmp_path, server, None, USER), tmp_path / "out")
    assert ended.status == 0, ended.err
    assert verdicts(tmp_path / "out") == EXPECTED
    content(tmp_path / "out")


@pytest.mark.parametrize("traceback", ["", "1"])
def test_run_when_the_token_has_expired_says_so_and_continues_with_a_new_one(
    server: WebServer, tmp_path: Path, traceback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QVL_TRACEBACK", traceback)
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(recipe(tmp_path, server, TOKEN), whole).status == 0
    path = recipe(tmp_path, server, TOKEN)
    server.query = RENEWED
    ended = run(path, out)
    assert ended.status == 2
    assert "the server refuses its token or password (403 Forbidden); it may have expired" in ended.err
    assert run(recipe(tmp_path, server, RENEWED), out).status == 0
    assert content(out) == content(whole)


def test_run_when_the_token_expires_in_its_middle_loses_no_row(server: WebServer, tmp_path: Path) -> None:
    """The token is taken away after each number of answers, until a run needs no more of them than it got."""
    whole = tmp_path / "whole"
    assert run(recipe(tmp_path, server, TOKEN), whole).status == 0
    wanted, needed = content(whole), len(server.asked)
    for allowed in range(1, needed, 17):
        out = tmp_path / f"out-{allowed}"
        server.query, server.expires_after = TOKEN, allowed
        ended = run(recipe(tmp_path, server, TOKEN), out)
        assert ended.status == 2, (allowed, ended)
        server.query, server.expires_after = RENEWED, None
        assert run(recipe(tmp_path, server, RENEWED), out).status == 0
        assert content(out) == wanted, allowed


def test_recipe_when_one_file_has_two_queries_is_refused(server: WebServer, tmp_path: Path) -> None:
    path = recipe(tmp_path, server, TOKEN)
    loaded = json.loads(path.read_text())
    for other in (server.url("data/00000.tar", RENEWED), server.url("data/00000.tar", user=USER)):
        loaded["sources"][0]["read"]["paths"] = [server.url("data/00000.tar", TOKEN), other]
        path.write_text(json.dumps(loaded))
        server.query = None
        ended = run(path, tmp_path / "out")
        assert ended.status == 2
        assert "data/00000.tar: is named twice with different queries or passwords" in ended.err


@pytest.mark.parametrize(
    ("name", "what"), [("data/none.tar", "no such file"), ("data/00000.tar.gz", "compressed"), ("data/a**.tar", "")]
)
def test_error_when_it_names_a_signed_address_hides_the_token(
    server: WebServer, tmp_path: Path, name: str, what: str
) -> None:
    (tmp_path / "web" / "data" / "00000.tar.gz").write_bytes(b"x")
    path = recipe(tmp_path, server, TOKEN)
    path.write_text(path.read_text().replace("data/{00000..00001}.tar", name))
    ended = run(path, tmp_path / "out")
    assert ended.status == 2
    assert what in ended.err
    assert "error: unforeseen" not in ended.err


def test_run_when_every_tar_has_a_presigned_address_of_its_own_keeps_no_signature(tmp_path: Path) -> None:
    fill(tmp_path / "web")
    with s3_server() as port, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(port).items():
            patch.setenv(name, value)
        files = filesystem(port)
        files.call_s3("create_bucket", Bucket="lake")
        urls = []
        for name in ("00000", "00001"):
            files.put_file(str(tmp_path / "web" / "data" / f"{name}.tar"), f"lake/{name}.tar")
            urls.append(files.url(f"lake/{name}.tar", expires=3_600))
        assert all("Signature" in url or "X-Amz-Signature" in url for url in urls)
        path = tmp_path / "recipe.yaml"
        source = {"name": "tars", "read": {"kind": "webdataset", "paths": urls}}
        path.write_text(json.dumps({"name": "lake", "sources": [source]}))
        ended = qvl("curate", "run", str(path), "--output", str(tmp_path / "out"))
        assert ended.status == 0, ended.err
    assert verdicts(tmp_path / "out") == ["keep"] * 8
    for data in (ended.out.encode(), ended.err.encode(), *content(tmp_path / "out").values()):
        assert not [word for word in (b"Signature", b"AWSAccessKeyId", b"X-Amz") if word in data]


def test_builders_when_addresses_are_signed_keep_no_token(server: WebServer, tmp_path: Path) -> None:
    record = {"caption": "a red kite", "noun_chunks": [[0, 10, 0.1, 0.1, 0.9, 0.9, 0.9]], "ref_exps": [], "url": "x"}
    members = [("0.jpg", jpeg(7, 400, 300)), ("0.json", json.dumps({**record, "width": 400, "height": 300}).encode())]
    (tmp_path / "web" / "grit.tar").write_bytes(tar_bytes(members))
    texts = [f"This is the paragraph of the number {n}, and it is long enough. " * 9 for n in range(3)]
    (tmp_path / "web" / "text.jsonl").write_text(
        "\n".join(json.dumps({"id": n, "text": t}) for n, t in enumerate(texts))
    )
    grit = {"name": "grit", "kind": "grit", "phrases": "union", "paths": [server.url("grit.tar", TOKEN)]}
    plain = {"name": "plain", "kind": "text", "paths": [server.url("text.jsonl", TOKEN)]}
    recipes: dict[str, dict[str, Any]] = {
        "ground": {"name": "g", "leaks": "allowed", "sources": [grit]},
        "text": {"name": "t", "sources": [plain]},
    }
    for command, written in recipes.items():
        path, out = tmp_path / f"{command}.yaml", tmp_path / command
        path.write_text(json.dumps(written))
        ended = hidden(qvl(command, "build", str(path), "--output", str(out)))
        assert ended.status == 0, ended.err
        assert any(name.endswith(".tar") for name in content(out))
