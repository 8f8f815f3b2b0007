"""Replies as columns, and what they cost."""

from qvl.pipeline.curate.speaking.spoken_columns import distinct_counts, spoken_schema, spoken_table
from qvl.pipeline.speakers.ask import Replies
from qvl.pipeline.speakers.prompt import Question
from qvl.pipeline.speakers.reply import Reply
from tests.pipeline.speakers.asking import speaker


def test_rows_get_the_answers_to_their_questions_and_equal_answers_count_once() -> None:
    one, two, broken = (Question(bytes([number]) * 16, "Rate", None) for number in (0, 2, 3))
    replies = Replies(
        {one.key: Reply("4", "stop", False, "", 10, 1), two.key: Reply("none", "stop", False, "", 20, 3)},
        {broken.key: "unreadable:bad_pixels"},
    )
    reasons = ["", "not_asked:clip", "", "", ""]
    table = spoken_table(speaker(), reasons, {0: one, 2: two, 3: one, 4: broken}, replies)
    assert table["judge"].to_pylist() == [4.0, None, None, 4.0, None]
    assert table["judge_state"].to_pylist() == [
        "answered", "not_asked:clip", "bad_answer", "answered", "unreadable:bad_pixels",
    ]  # fmt: skip
    assert table["fault"].to_pylist() == [None, None, None, None, "unreadable:bad_pixels"]
    assert table["prompt_tokens"].to_pylist() == [10, None, 20, 10, None]
    assert distinct_counts(table) == (2, 30, 4)
    assert distinct_counts(table.slice(1, 1)) == (0, 0, 0)
    assert table.schema.names[:2] == spoken_schema(speaker()).names
