"""Rendered prompts, and what identifies an answer."""

import pyarrow as pa
import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.speakers.prompt import questions, rendered
from tests.pipeline.speakers.asking import speaker

ROWS = pa.table(
    {
        "caption": ["a dog", None, "{width}"],
        "width": pa.array([3, 4, 5], pa.int32()),
        "image_hash": pa.array([b"a" * 16, b"b" * 16, b"a" * 16], pa.binary(16)),
        "boxes": [[1], [2], [3]],
    }
)


def test_template_is_filled_once_and_missing_values_are_empty() -> None:
    assert rendered("{{x}} {caption}, {width} px", ROWS) == ["{x} a dog, 3 px", "{x} , 4 px", "{x} {width}, 5 px"]
    assert rendered("plain", ROWS) == ["plain"] * 3
    assert rendered("plain", ROWS.slice(0, 0)) == []


def test_column_that_is_not_text_is_refused() -> None:
    with pytest.raises(RecipeError, match="names boxes, which has type list"):
        rendered("{boxes}", ROWS)


def test_key_depends_on_image_prompt_model_and_parameters_alone() -> None:
    base = speaker(prompt="Rate it")
    first, second, third = (question.key for question in questions(base, ROWS))
    assert first == third != second
    same = [{"endpoint": "http://other:1/v1"}, {"concurrency": 3}, {"retries": 0}, {"name": "other"}, {"timeout": 1},
            {"answer": {"text": {}}}, {"prices": {"prompt": 1, "completion": 1}}]  # fmt: skip
    for settings in same:
        assert questions(speaker(**{"prompt": "Rate it", **settings}), ROWS)[0].key == first, settings
    other = [{"model": "big"}, {"temperature": 0.5}, {"max_tokens": 3}, {"system": "Be kind."}, {"prompt": "Rate {caption}"},
             {"parameters": {"seed": 1}}, {"image": {"max_side": 64}}, {"image": None}, {"edition": "2"}]  # fmt: skip
    keys = [questions(speaker(**{"prompt": "Rate it", **settings}), ROWS)[0].key for settings in other]
    assert len({*keys, first}) == len(other) + 1


def test_enforced_schema_is_part_of_the_request() -> None:
    form = {"schema": {"type": "object", "properties": {"a": {"type": "number"}}}}
    loose, strict = (speaker(answer={"json": {**form, "enforce": enforce}}) for enforce in (False, True))
    assert questions(loose, ROWS)[0].key != questions(strict, ROWS)[0].key
