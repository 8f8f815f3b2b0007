"""Speakers in a recipe: what is accepted, what is refused, and what identifies their answers."""

from typing import Any

import pytest
from pydantic import ValidationError

from qvl.pipeline.recipe.speakers import Speaker, check_speakers, template_columns
from tests.pipeline.speakers.asking import speaker


def test_yes_and_no_of_yaml_are_words() -> None:
    assert speaker(answer={"words": [True, False, "maybe"]}).answer.words == ("yes", "no", "maybe")


@pytest.mark.parametrize(
    "answer",
    [
        {"number": {"minimum": 1}},
        {"words": ["yes", "no"]},
        {"text": {"maximum_characters": 9}},
        {"json": {"schema": {"properties": {"a": {"type": "number"}}}, "enforce": True}},
    ],
)
def test_identity_makes_an_equal_speaker_and_has_no_address(answer: dict[str, Any]) -> None:
    written = speaker(answer=answer, prices={"prompt": 1, "completion": 2}, api_key_variable="KEY", image=None)
    identity = written.identity()
    again = Speaker.model_validate({**identity, "name": "judge", "endpoint": "http://-"})
    assert again.identity() == identity and again.columns == written.columns
    assert not {"endpoint", "api_key_variable", "prices", "concurrency"} & set(identity)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoint": "localhost:8000"}, "must be a URL"),
        ({"endpoint": "http://me:secret@host/v1"}, "must not hold credentials"),
        ({"endpoint": "http://host/v1?key=1"}, "must not hold credentials"),
        ({"answer": {}}, "needs exactly one of"),
        ({"answer": {"words": ["yes", "no"], "number": {}}}, "needs exactly one of"),
        ({"answer": {"words": ["Yes", "yes"]}}, "two words are equal"),
        ({"answer": {"number": {"minimum": 2, "maximum": 1}}}, "above maximum"),
        ({"answer": {"text": {"minimum_characters": 9, "maximum_characters": 3}}}, "above"),
        ({"answer": {"json": {"schema": {"type": 3}}}}, "not a JSON Schema"),
        ({"answer": {"json": {"schema": {}}}}, "needs `properties`"),
        ({"answer": {"json": {"schema": {"properties": {"state": {}}}}}}, "cannot name a column"),
        ({"parameters": {"model": "x"}}, "is set by this program"),
        ({"prompt": "{"}, "write {{ and }}"),
        ({"prompt": "{caption!r}"}, "does not name a column"),
        ({"prompt": "{}"}, "does not name a column"),
        ({"refusal_pattern": "("}, "not a regular expression"),
        ({"api_key_variable": "sk-123"}, "match pattern"),
    ],
)
def test_mistake_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        speaker(**settings)
    assert message in str(error.value)


def test_endpoint_may_be_the_whole_address() -> None:
    assert speaker("http://host:1/v1/chat/completions").endpoint == "http://host:1/v1"


def test_columns_that_two_speakers_write_are_refused() -> None:
    check_speakers((speaker(), speaker(name="other")))
    for name in ("judge", "judge_state"):
        with pytest.raises(ValueError, match="both write the column"):
            check_speakers((speaker(), speaker(name=name)))


def test_template_names_its_columns() -> None:
    assert template_columns("{{x}} {caption} {width}") == ["caption", "width"]
    assert speaker(prompt="{caption} {width}", system="{language} {caption}").reads == ("language", "caption", "width")
