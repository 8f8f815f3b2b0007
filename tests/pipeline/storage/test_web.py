"""Files of a real web server, with and without secrets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import AccessRefused, QvlError
from qvl.pipeline.storage import stores
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.storage.web_server import RENEWED, SECRETS, TOKEN, WebServer, web_server

DATA = bytes(range(256)) * 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "data").mkdir()
    for name in ("a.tar", "b.tar", "c.txt"):
        (tmp_path / "data" / name).write_bytes(DATA + name.encode())
    with web_server(tmp_path, query=TOKEN) as found:
        yield found


def gives_nothing_away(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("heads", [True, False])
def test_file_when_signed_is_read(server: WebServer, storage: Storage, ranges: bool, heads: bool) -> None:
    server.ranges, server.heads = ranges, heads
    path, whole = server.url("data/a.tar", TOKEN), DATA + b"a.tar"
    assert storage.exists(path)
    assert storage.size(path) == len(whole)
    assert storage.read(path) == whole
    assert storage.read_range(path, 300, 1000) == whole[300:1000]
    assert list(storage.read_ranges(path, [(0, 3), (7, 9)])) == [whole[0:3], whole[7:9]]
    with storage.local(path) as local:
        assert local.name == "a.tar"
        assert local.read_bytes() == whole
    assert {asked.partition("?")[2] for asked in server.asked} == {TOKEN}


def test_file_when_a_password_opens_it_is_read(server: WebServer, storage: Storage) -> None:
    server.password, server.query = "me:hunter2/@", None
    path = server.url("data/a.tar", user="me:hunter2%2F%40@")
    assert storage.read(path) == DATA + b"a.tar"
    assert storage.identity(path) == server.url("data/a.tar")
    with pytest.raises(AccessRefused) as refused:
        storage.read(server.url("data/a.tar", user="me:wrong@"))
    assert "wrong" not in str(refused.value)


def test_identity_when_the_token_is_renewed_is_the_same(server: WebServer, storage: Storage) -> None:
    old, new = (storage.identity(server.url("data/a.tar", token)) for token in (TOKEN, RENEWED))
    assert old == new == server.url("data/a.tar")


def test_glob_when_signed_signs_what_it_finds(server: WebServer, storage: Storage) -> None:
    wanted = [server.url(f"data/{name}.tar", TOKEN) for name in "ab"]
    assert storage.glob(server.url("data/*.tar", TOKEN)) == wanted
    assert storage.glob(server.url("data/a.tar", TOKEN)) == wanted[:1]
    assert storage.glob(server.url("data/none.tar", TOKEN)) == []
    assert [storage.canonical(path) for path in wanted] == wanted


def test_token_when_it_has_expired_stops_with_a_line_that_hides_it(server: WebServer, storage: Storage) -> None:
    for call in (storage.size, storage.read, storage.exists, storage.glob):
        with pytest.raises(AccessRefused, match="it may have expired") as refused:
            call(server.url("data/a.tar", RENEWED))
        gives_nothing_away(f"{refused.value} {refused.value.__cause__} {refused.value.__context__}")


def test_file_when_refused_without_a_secret_is_missing(server: WebServer, storage: Storage) -> None:
    path = server.url("data/a.tar")
    assert not storage.exists(path)
    assert storage.glob(path) == []
    with pytest.raises(FileNotFoundError):
        storage.read(path)


def test_file_when_missing_is_named_without_its_token(server: WebServer, storage: Storage) -> None:
    path = server.url("data/none.tar", TOKEN)
    assert not storage.exists(path)
    with pytest.raises(FileNotFoundError) as missing:
        storage.read_range(path, 0, 3)
    assert str(missing.value) == server.url("data/none.tar")


def test_side_file_when_the_token_opens_only_the_file_is_absent(server: WebServer, storage: Storage) -> None:
    path, side = (server.url(f"data/{name}", TOKEN) for name in ("a.tar", "c.txt"))
    assert storage.has_side_file(path, side)
    server.only = frozenset({"data/a.tar"})
    assert not storage.has_side_file(path, side)
    server.query = RENEWED
    with pytest.raises(AccessRefused):
        storage.has_side_file(path, side)


def test_server_when_busy_is_asked_again(server: WebServer, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "FIRST_PAUSE", 0.001)
    server.failures = 3
    assert storage.exists(server.url("data/a.tar", TOKEN))
    server.failures = 2
    assert storage.read(server.url("data/a.tar", TOKEN)) == DATA + b"a.tar"
    server.failures = 1_000
    with pytest.raises(QvlError, match="the store failed 6 times in a row") as failed:
        storage.exists(server.url("data/a.tar", TOKEN))
    gives_nothing_away(str(failed.value))


def test_file_when_its_size_is_unknown_is_an_error_that_says_so(server: WebServer, storage: Storage) -> None:
    server.sized = False
    with pytest.raises(QvlError, match="does not say how large") as unknown:
        storage.size(server.url("data/a.tar", TOKEN))
    gives_nothing_away(str(unknown.value))
