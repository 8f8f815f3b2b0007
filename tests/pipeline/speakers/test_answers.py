"""What a model said, as values or as a state."""

import pytest

from qvl.pipeline.speakers.answers import Answer, read_reply
from qvl.pipeline.speakers.reply import Reply
from tests.pipeline.speakers.asking import speaker

NUMBER = {"number": {"minimum": 1, "maximum": 5}}
WORDS = {"words": ["yes", "no", "是", "否"]}
TEXT = {"text": {"minimum_characters": 3, "maximum_characters": 40}}
SCHEMA = {
    "type": "object",
    "required": ["score"],
    "properties": {
        "score": {"type": "integer", "minimum": 0},
        "why": {"type": ["string", "null"]},
        "tags": {"type": "array"},
    },
}


def said(form: object, text: str, **more: object) -> Answer:
    return read_reply(speaker(answer=form), Reply(text, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4.0), (" 4.5\n", 4.5), ("**4**", 4.0), ("Score: 4", 4.0), ("评分：3分", 3.0), ("4/5", 4.0),
        ("4 out of 5.", 4.0),
        ("3 points", 3.0), ("<think>2 or 5?</think>\n\n3", 3.0), ("4\nit is sharp", 4.0), ("Final score = 2", 2.0),
    ],
)  # fmt: skip
def test_number_alone_on_its_line_is_read(text: str, value: float) -> None:
    assert said(NUMBER, text) == Answer("answered", (value,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "6",
        "5.01",
        "-1",
        "4/10",
        "nan",
        "inf",
        "There are 3 dogs",
        "4 or 5",
        "3-4",
        "four",
        "1e0",
        "3,5",
        "４x",
        "<think>4",
    ],
)
def test_number_that_is_out_of_bounds_or_not_alone_is_a_bad_answer(text: str) -> None:
    assert said(NUMBER, text) == Answer("bad_answer", (None,))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("Yes.", "yes"),
        ("**NO**", "no"),
        ("No, it is blurred.", "no"),
        ("是。", "是"),
        ("否，图片模糊", "否"),
    ],
)
def test_word_of_the_list_is_read(text: str, value: str) -> None:
    assert said(WORDS, text) == Answer("answered", (value,))


@pytest.mark.parametrize("text", ["", "No idea", "maybe", "yes and no", "I think yes", "是的"])
def test_other_word_is_a_bad_answer(text: str) -> None:
    assert said(WORDS, text) == Answer("bad_answer", (None,))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A dog\n on grass ", "A dog on grass"),
        ('"A dog."', "A dog."),
        ("“一只狗”", "一只狗"),
        ('"A" and "B"', '"A" and "B"'),
    ],
)
def test_text_is_one_line_without_quotation_marks_around_it(text: str, value: str) -> None:
    assert said(TEXT, text) == Answer("answered", (value,))


@pytest.mark.parametrize("text", ["", "ab", "x" * 41, "a\x00bcd", "a\x1b[31mred"])
def test_text_of_a_wrong_length_or_with_control_characters_is_a_bad_answer(text: str) -> None:
    assert said(TEXT, text).state == "bad_answer"


def test_text_that_was_cut_is_a_bad_answer_and_a_number_is_not() -> None:
    assert said(TEXT, "A dog on", finish="length").state == "bad_answer"
    assert said(NUMBER, "4", finish="length") == Answer("answered", (4.0,))


@pytest.mark.parametrize(
    "text",
    ["I'm sorry, but I can't help with that.", "I cannot rate this.", "抱歉，我无法描述这张图片。", "As an AI, I"],
)
@pytest.mark.parametrize("form", [NUMBER, WORDS, TEXT])
def test_refusal_is_a_state_of_its_own(text: str, form: object) -> None:
    assert said(form, text) == Answer("refused", (None,))


def test_refusal_of_the_service_and_failure_have_their_states() -> None:
    assert said(TEXT, "some text", refused=True) == Answer("refused", (None,))
    assert said(TEXT, "", failure="HTTP 400: no") == Answer("failed", (None,))


def test_sorry_in_the_middle_of_a_caption_is_no_refusal() -> None:
    assert said(TEXT, "A card that says I'm sorry").state == "answered"


def test_json_object_becomes_columns() -> None:
    form = {"json": {"schema": SCHEMA}}
    assert speaker(answer=form).columns == {
        "judge_score": "int64", "judge_why": "string", "judge_tags": "string", "judge_state": "string",
    }  # fmt: skip
    assert said(form, '{"score": 3, "why": "sharp", "tags": ["a"]}') == Answer("answered", (3, "sharp", '["a"]'))
    assert said(form, '```json\n{"score": 3}\n```') == Answer("answered", (3, None, None))
    assert said(form, '{"score": 3.0}') == Answer("answered", (3, None, None))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"score": -1}', '{"why": "x"}', '{"score": "3"}', 'Sure: {"score": 3}', '{"score": 1e30}'],
)
def test_json_that_breaks_the_schema_is_a_bad_answer(text: str) -> None:
    assert said({"json": {"schema": SCHEMA}}, text) == Answer("bad_answer", (None, None, None))
