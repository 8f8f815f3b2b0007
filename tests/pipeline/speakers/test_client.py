"""The client against a real service that fails in every way."""

import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.recipe.speakers import SentImage
from qvl.pipeline.speakers.client import Client, ServiceError, parse, seconds_of
from qvl.pipeline.speakers.picture import data_url
from qvl.pipeline.speakers.reply import Reply
from tests.chat_server import KEY, ChatServer, chat_server
from tests.pipeline.samples import jpeg
from tests.pipeline.speakers.asking import speaker

IMAGE = data_url(jpeg(), SentImage())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    with chat_server(tmp_path_factory.mktemp("chat")) as server:
        yield server


@pytest.fixture
def server(running: ChatServer) -> ChatServer:
    running.control("normal", 0)
    return running


def ask(server: ChatServer, secret: str | None = None, prompt: str = "Rate it", **settings: Any) -> Reply | None:
    client = Client(speaker(server.endpoint, **settings), secret, threading.Event())
    return client.ask(prompt, "Be brief.", IMAGE)


def test_service_sees_the_image_and_its_counts_are_kept(server: ChatServer) -> None:
    reply = ask(server)
    assert reply is not None and reply.text in "12345"
    assert (reply.finish, reply.prompt_tokens, reply.completion_tokens) == ("stop", 7, 1)


@pytest.mark.parametrize("mode", ["error", "close", "garbage"])
def test_failures_are_repeated(server: ChatServer, mode: str) -> None:
    server.control(mode, 2)
    reply = ask(server)
    assert reply is not None and reply.text in "12345"


def test_throttled_request_waits_as_long_as_the_service_asks(server: ChatServer) -> None:
    server.control("throttle", 1, "1")
    start = time.monotonic()
    reply = ask(server)
    assert reply is not None and reply.text
    assert time.monotonic() - start >= 1


def test_throttling_without_end_stops_the_run(server: ChatServer) -> None:
    server.control("throttle", -1, "0")
    with pytest.raises(
        ServiceError, match=r"3 times in a row.*HTTP 429: this is throttle\. Lower `concurrency`.*run the same"
    ):
        ask(server)


def test_service_that_asks_for_an_hour_stops_the_run(server: ChatServer) -> None:
    server.control("throttle", -1, "3600")
    with pytest.raises(ServiceError, match="asks to wait for 3,600 seconds"):
        ask(server)


@pytest.mark.parametrize("mode", ["error", "close", "garbage"])
def test_service_that_answers_nothing_stops_the_run(server: ChatServer, mode: str) -> None:
    server.control(mode, -1)
    with pytest.raises(ServiceError, match=r"failed 3 times in a row, the last time with: .*nothing is lost"):
        ask(server)


def test_service_that_is_not_there_stops_the_run() -> None:
    client = Client(speaker("http://127.0.0.1:9/v1"), None, threading.Event())
    with pytest.raises(ServiceError, match="refused"):
        client.ask("Rate it", None, None)


def test_slow_answer_is_not_waited_for(server: ChatServer) -> None:
    server.control("slow", 1, "3")
    reply = ask(server, timeout=0.3)
    assert reply is not None and reply.text in "12345"


def test_question_that_alone_fails_has_failed_for_good(server: ChatServer) -> None:
    server.control("poison", -1, "it")
    assert ask(server) == Reply("", failure="HTTP 500: this is poison")


def test_rejected_question_has_failed_without_retries_where_others_are_answered(server: ChatServer) -> None:
    server.control("reject", 1)
    before = server.counts().get("reject", 0)
    assert ask(server) == Reply("", failure="HTTP 400: this is reject")
    assert server.counts()["reject"] == before + 1


def test_service_that_rejects_everything_stops_the_run(server: ChatServer) -> None:
    server.control("reject", -1)
    with pytest.raises(ServiceError, match="rejects every question: HTTP 400: this is reject"):
        ask(server)


def test_unknown_model_and_wrong_key_stop_the_run_at_once_and_no_key_is_shown(server: ChatServer) -> None:
    with pytest.raises(ServiceError, match=r"HTTP 404: The model `missing` does not exist\."):
        ask(server, model="missing")
    with pytest.raises(ServiceError, match=r"HTTP 401: wrong key: Bearer \*\*\*"):
        ask(server, "a-wrong-key", model="locked")
    reply = ask(server, KEY, model="locked")
    assert reply is not None and reply.text


def test_stop_ends_waiting(server: ChatServer) -> None:
    stop, client = threading.Event(), None
    client = Client(speaker(server.endpoint, pause=60.0), None, stop)
    server.control("error", -1)
    threading.Timer(0.3, stop.set).start()
    assert client.ask("Rate it", None, None) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"choices": []}', b'{"choices": [{"message": null}]}',
     b'{"choices": [{"message": {"content": 3}}]}',
     b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "3"}}', b"\xff"],
)  # fmt: skip
def test_what_is_no_completion_is_none(content: bytes) -> None:
    assert parse(content) is None


def test_completion_without_counts_and_with_a_refusal_is_read() -> None:
    assert parse(b'{"choices": [{"message": {"content": "x"}}]}') == Reply("x")
    assert parse(b'{"choices": [{"message": {"content": null, "refusal": "no"}}], "usage": null}') == Reply(
        "", refused=True
    )
    filtered = b'{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}'
    assert parse(filtered) == Reply("", "content_filter", refused=True)


def test_retry_after_is_seconds_or_a_date() -> None:
    assert [seconds_of(None), seconds_of("7"), seconds_of("soon"), seconds_of("-3")] == [0, 7, 0, 0]
    assert 50 < seconds_of(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert seconds_of(formatdate(0, usegmt=True)) == 0


def test_log_has_every_answer(server: ChatServer, tmp_path: Path) -> None:
    before = len(server.answered())
    ask(server)
    assert len(server.answered()) == before + 1
