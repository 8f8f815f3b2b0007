"""Many questions at the same time: what is stored, what is asked again, and when the run stops."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qvl.pipeline.recipe.speakers import Speaker
from qvl.pipeline.speakers.ask import Asking, Replies
from qvl.pipeline.speakers.client import ServiceError
from qvl.pipeline.speakers.prompt import Question, questions
from qvl.pipeline.speakers.store import opened
from tests.chat_server import ChatServer, chat_server
from tests.pipeline.samples import jpeg
from tests.pipeline.speakers.asking import speaker

ROWS = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with chat_server(tmp_path) as running:
        yield running


def asked(who: Speaker, rows: int = ROWS) -> dict[int, Question]:
    hashes = pa.array([number.to_bytes(16, "big") for number in range(rows)], pa.binary(16))
    table = pa.table({"caption": [f"picture {number:02d}." for number in range(rows)], "image_hash": hashes})
    return dict(enumerate(questions(who, table)))


def run(folder: Path, who: Speaker, images: dict[int, bytes] | None = None, rows: int = ROWS) -> Replies:
    wanted = asked(who, rows)
    with opened(folder / "store") as store:
        asking = Asking(who, None, store, who.concurrency)
        known = asking.known(list(wanted.values()))
        todo = {row: question for row, question in wanted.items() if question.key not in known}
        found = asking.ask_all(todo, ((row, (images or {}).get(row, jpeg(row))) for row in todo))
    return Replies({**known, **found.by_key}, found.faults)


def test_every_question_is_asked_once_and_a_second_run_asks_nothing(server: ChatServer, tmp_path: Path) -> None:
    first = run(tmp_path, speaker(server.endpoint, concurrency=8))
    assert len(first.by_key) == ROWS == len(server.answered())
    assert run(tmp_path, speaker(server.endpoint, concurrency=2)).by_key == first.by_key
    assert len(server.answered()) == ROWS


def test_equal_questions_are_asked_once(server: ChatServer, tmp_path: Path) -> None:
    who = speaker(server.endpoint, prompt="Rate")
    one = asked(who, 1)[0]
    with opened(tmp_path / "store") as store:
        found = Asking(who, None, store, 4).ask_all(dict.fromkeys(range(9), one), ((row, jpeg()) for row in range(9)))
    assert list(found.by_key) == [one.key] and len(server.answered()) == 1


@pytest.mark.parametrize("mode", ["error", "close", "garbage"])
def test_service_that_goes_down_stops_the_run_and_no_answer_is_asked_twice(
    server: ChatServer, tmp_path: Path, mode: str
) -> None:
    who = speaker(server.endpoint, concurrency=4)
    run(tmp_path, who, rows=10)
    server.control(mode, -1)
    with pytest.raises(ServiceError, match="nothing is lost"):
        run(tmp_path, who)
    server.control("normal", 0)
    assert len(run(tmp_path, who).by_key) == ROWS
    prompts = [line["prompt"] for line in server.answered()]
    assert len(prompts) == len(set(prompts)) == ROWS


def test_service_that_is_killed_and_restarted_is_waited_for(server: ChatServer, tmp_path: Path) -> None:
    who = speaker(server.endpoint, concurrency=4, pause=0.5, retries=8)

    def images() -> Iterator[tuple[int, bytes]]:
        for row in range(ROWS):
            if row == 15:
                server.kill()
                server.start()
            yield row, jpeg(row)

    with opened(tmp_path / "store") as store:
        found = Asking(who, None, store, 4).ask_all(asked(who), images())
    assert len(found.by_key) == ROWS and not any(reply.failure for reply in found.by_key.values())


def test_image_that_cannot_be_decoded_is_a_fault_and_costs_nothing(server: ChatServer, tmp_path: Path) -> None:
    found = run(tmp_path, speaker(server.endpoint), {3: jpeg(3)[:150]})
    assert list(found.faults.values()) == ["unreadable:bad_pixels"]
    assert len(found.by_key) == ROWS - 1 == len(server.answered())


def test_few_questions_may_fail_and_are_not_asked_again(server: ChatServer, tmp_path: Path) -> None:
    server.control("poison", -1, "picture 1")
    who = speaker(server.endpoint, failures=0.5, retries=0)
    found = run(tmp_path, who)
    assert sum(bool(reply.failure) for reply in found.by_key.values()) == 10
    before = server.counts()["poison"]
    assert run(tmp_path, who).by_key == found.by_key
    assert server.counts()["poison"] == before


def test_too_many_failures_stop_the_run_and_are_not_stored(server: ChatServer, tmp_path: Path) -> None:
    server.control("poison", -1, "picture 1")
    who = speaker(server.endpoint, retries=0, concurrency=1)
    with pytest.raises(
        ServiceError, match=r"4 of 14 questions of speaker judge failed for good.*HTTP 500: this is poison"
    ):
        run(tmp_path, who)
    server.control("normal", 0)
    found: Any = run(tmp_path, who).by_key
    assert len(found) == ROWS and not any(reply.failure for reply in found.values())
    assert len({line["prompt"] for line in server.answered()} - {"Say yes."}) == ROWS


def test_questions_about_text_alone_send_no_image(server: ChatServer, tmp_path: Path) -> None:
    who = speaker(server.endpoint, image=None, prompt="Translate {caption}", answer={"text": {}})
    with opened(tmp_path / "store") as store:
        found = Asking(who, None, store, 4).ask_all(asked(who, 2), ((row, None) for row in range(2)))
    assert all(reply.text.startswith("A picture of no pixels") for reply in found.by_key.values())
