"""Curations whose rows are judged by a model behind a real service, with every kind of trouble."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from qvl.pipeline.base.errors import RecipeError, StaleError
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.commit.manifests import committed_manifest
from qvl.pipeline.curate.speaking.manifests import SpeakSummary
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import whatif
from qvl.pipeline.speakers.client import ServiceError
from tests.chat_server import KEY, ChatServer, chat_server
from tests.pipeline.curate.small_run import files
from tests.pipeline.curate.speaking.talking_run import ROWS, UNITS, curate, judge, judged, ledger, make_data

ASKED = UNITS * (ROWS - 4) + 1  # without the failed, the short and the broken ones, and one answer for the repeated row


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_data(folder)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with chat_server(tmp_path) as running:
        yield running


def data_files(out: Path) -> dict[str, bytes]:
    """All files but the store of answers and the lock, which holds a process number."""
    return {name: content for name, content in files(out).items() if not name.startswith(("answers/", ".lock"))}


def verdicts(out: Path) -> Counter[str]:
    return Counter(row["verdict"] for row in ledger(out, "verdict"))


def paid(server: ChatServer) -> list[str]:
    return [line["request"] for line in server.answered()]


def totals(out: Path, number: int = 0) -> Any:
    return committed_manifest(Layout(out).stage_manifest("speak"), SpeakSummary).speakers[number]


def test_every_row_that_can_be_kept_is_asked_about_once_and_judged(
    server: ChatServer, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    prices = {"prompt": 2.0, "completion": 10.0, "currency": "EUR"}
    dataset = curate(data, out, [judge(server.endpoint, prices=prices)], filters=judged(minimum=3))
    assert len(paid(server)) == len(set(paid(server))) == ASKED
    rows = ledger(out, "verdict", "judge", "judge_state")
    states = Counter(row["judge_state"] for row in rows)
    assert states == {
        "answered": ASKED + UNITS - 1, "not_asked:text_length": UNITS, "not_asked:unreadable": UNITS,
        "unreadable:bad_pixels": UNITS,
    }  # fmt: skip
    for row in rows:
        if row["judge_state"] == "answered":
            assert row["verdict"] == ("keep" if row["judge"] >= 3 else "judge") and 1 <= row["judge"] <= 5
        else:
            assert row["judge"] is None
    assert verdicts(out)["unreadable:bad_pixels"] == UNITS == verdicts(out)["text_length"]
    assert 0 < dataset.samples < ASKED and verdicts(out).total() == UNITS * ROWS
    found = totals(out)
    assert (found.answers, found.completion_tokens) == (ASKED, ASKED) and found.states == dict(states)
    assert found.prompt_tokens == sum(len(line["prompt"]) for line in server.answered())
    assert found.cost == pytest.approx((found.prompt_tokens * 2 + ASKED * 10) / 1e6) and found.currency == "EUR"
    assert audit(out).discrepancy is None


def test_second_run_and_changed_threshold_and_other_output_with_the_store_ask_nothing(
    server: ChatServer, data: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    speakers, store = [judge(server.endpoint)], str(tmp_path / "store")
    curate(data, out, speakers, filters=judged(minimum=3), answers=store)
    before = data_files(out)
    curate(data, out, speakers, filters=judged(minimum=3), answers=store)
    assert data_files(out) == before
    with pytest.raises(StaleError, match="filters"):
        curate(data, out, speakers, filters=judged(minimum=2), answers=store)
    curate(data, out, speakers, fresh=True, filters=judged(minimum=2), answers=store)
    curate(data, other, speakers, filters=judged(minimum=3), answers=store)
    assert data_files(other) == before
    assert len(paid(server)) == ASKED


def test_changed_prompt_asks_again_and_a_changed_form_reads_the_stored_answers(
    server: ChatServer, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    curate(data, out, [judge(server.endpoint)])
    with pytest.raises(StaleError, match="speakers"):
        curate(data, out, [judge(server.endpoint, answer={"number": {"minimum": 1, "maximum": 3}})])
    curate(data, out, [judge(server.endpoint, answer={"number": {"minimum": 1, "maximum": 3}})], fresh=True)
    assert totals(out).states["bad_answer"] > 0 and len(paid(server)) == ASKED
    curate(data, out, [judge(server.endpoint, prompt="Rate it: {caption}")], fresh=True)
    assert len(paid(server)) == 2 * ASKED


def test_service_that_goes_down_stops_the_run_and_the_resumed_output_is_equal(
    server: ChatServer, data: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    curate(data, whole, [judge(server.endpoint)], filters=judged(minimum=3))
    once = len(paid(server))
    server.control("poison", -1, "number 1 ")  # nothing of the second tar is answered, and the plain question is
    with pytest.raises(ServiceError, match=r"failed for good.*nothing is lost"):
        curate(data, out, [judge(server.endpoint, failures=0.0)], filters=judged(minimum=3))
    server.control("error", -1)
    with pytest.raises(ServiceError, match=r"failed 3 times in a row.*nothing is lost"):
        curate(data, out, [judge(server.endpoint)], filters=judged(minimum=3))
    assert not (out / "ledger").exists()
    server.control("normal", 0)
    curate(data, out, [judge(server.endpoint)], filters=judged(minimum=3))
    assert data_files(out) == data_files(whole)
    again = [line for line in server.answered()[once:] if line["prompt"] != "Say yes."]
    assert len(again) == ASKED == len({line["request"] for line in again})


def test_refusals_and_bad_answers_are_states_that_a_filter_judges(
    server: ChatServer, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    server.control("refuse", 5)
    curate(data, out, [judge(server.endpoint, concurrency=1)], filters=judged(minimum=1))
    assert totals(out).states["refused"] == 5
    assert verdicts(out)["judge"] == 5
    server.control("say", 4, "I think it is a nine")
    speakers = [judge(server.endpoint, concurrency=1, edition="2")]
    wanted = {"text_length": {"minimum": 6}, "columns": {"judge_state": {"forbidden": ["bad_answer"]}}}
    curate(data, out, speakers, fresh=True, filters=wanted)
    assert totals(out).states["bad_answer"] == 4 == verdicts(out)["judge_state"]


def test_later_speaker_is_asked_only_about_what_the_judge_lets_pass_and_reads_its_answer(
    server: ChatServer, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    recaption = {
        **judge(server.endpoint), "name": "recaption", "answer": {"text": {}}, "image": {"max_side": 16, "format": "png"},
        "prompt": "Describe {caption} ({judge})", "system": "Be brief about {language}.",
    }  # fmt: skip
    curate(data, out, [judge(server.endpoint), recaption], filters=judged(minimum=3))
    rows = ledger(out, "verdict", "caption", "judge", "recaption", "recaption_state")
    kept = [row for row in rows if row["verdict"] == "keep"]
    assert kept and all(row["recaption"].startswith("A picture of 16x12 pixels") for row in kept)
    assert all(row["recaption"].endswith(f"Describe {row['caption']} ({row['judge']:.0f})") for row in kept)
    assert {row["recaption_state"] for row in rows if row["verdict"] == "judge"} == {"not_asked:judge"}
    asked = [line["prompt"] for line in server.answered() if line["prompt"].startswith("Describe")]
    assert len(asked) == len({(row["caption"], row["judge"]) for row in kept})
    assert audit(out).discrepancy is None


def test_json_answers_become_columns(server: ChatServer, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    kinds = {"score": "integer", "reason": "string", "sharp": "boolean"}
    schema = {
        "type": "object",
        "required": [*kinds],
        "properties": {name: {"type": kind} for name, kind in kinds.items()},
    }
    speaker = judge(server.endpoint, prompt="JSON please", answer={"json": {"schema": schema, "enforce": True}})
    curate(data, out, [speaker], filters={"text_length": {"minimum": 6}, "columns": {"judge_score": {"minimum": 2}}})
    rows = [
        row for row in ledger(out, "verdict", "judge_score", "judge_reason", "judge_sharp") if row["verdict"] == "keep"
    ]
    assert rows and all(
        row["judge_score"] >= 2 and row["judge_reason"] and row["judge_sharp"] is not None for row in rows
    )
    assert all("response_format" in line["fields"] for line in server.answered())


@pytest.mark.parametrize(
    "change", ["judge.minimum=5", "judge.minimum=1", "text_length.minimum=1", "text_length.minimum=19"]
)
def test_what_if_agrees_with_a_run_or_says_that_nobody_was_asked(
    server: ChatServer, data: Path, tmp_path: Path, change: str
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    store = str(tmp_path / "store")
    curate(data, out, [judge(server.endpoint)], filters=judged(minimum=3), answers=store)
    stored = StoredColumns.open(out)
    answer = whatif(stored, apply_changes(stored.recipe, [change]))
    name, value = change.split("=")
    filters: dict[str, Any] = {"text_length": {"minimum": 6}, "columns": {"judge": {"minimum": 3}}}
    (filters["columns"] if name.startswith("judge") else filters)[name.partition(".")[0]] = {"minimum": int(value)}
    curate(data, other, [judge(server.endpoint)], filters=filters, answers=store)
    predicted = Counter(answer.funnel(answer.after)["web"])
    if change == "text_length.minimum=1":
        assert predicted["unscored"] == UNITS
        assert predicted["keep"] + UNITS >= verdicts(other)["keep"] >= predicted["keep"]
    else:
        assert predicted == verdicts(other)


def test_key_comes_from_the_environment_and_is_in_no_file(
    server: ChatServer, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speakers = [judge(server.endpoint, model="locked", api_key_variable="QVL_TEST_KEY")]
    with pytest.raises(RecipeError, match="environment variable QVL_TEST_KEY is not set"):
        curate(data, tmp_path / "out", speakers)
    monkeypatch.setenv("QVL_TEST_KEY", KEY)
    curate(data, tmp_path / "out", speakers)
    assert len(paid(server)) == ASKED
    for name, content in files(tmp_path / "out").items():
        assert KEY.encode() not in content and server.endpoint.encode() not in content, name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "{colour}"}, "prompt names colour, which is not a column"),
        ({"prompt": "{judge}"}, "prompt names judge"),
        ({"name": "width"}, "the column width exists already"),
    ],
)
def test_speaker_that_does_not_fit_the_recipe_is_refused_before_anything_is_read(
    data: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        curate(data, tmp_path / "out", [judge("http://127.0.0.1:9/v1", **settings)])
    assert not (tmp_path / "out" / "columns").exists()


def test_speaker_that_is_removed_leaves_no_column_and_keeps_its_answers(
    server: ChatServer, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    curate(data, out, [judge(server.endpoint)])
    curate(data, out, [], fresh=True)
    assert not (out / "spoken" / "judge").exists() and not Layout(out).stage_manifest("speak").exists()
    assert "judge" not in pq.read_schema(next((out / "ledger").glob("*.parquet"))).names
    curate(data, out, [judge(server.endpoint)], fresh=True)
    assert len(paid(server)) == ASKED
