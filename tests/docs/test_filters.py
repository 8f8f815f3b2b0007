"""docs/filters.md has every filter and duplicate rule with its values, as the code has them."""

from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from qvl.pipeline.duplicates.rules import DUPLICATE_REASONS
from qvl.pipeline.filters import FILTER_NAMES, Filters
from qvl.pipeline.recipe.recipe import Dedup, NearDuplicate, SemanticDuplicate, SourceSpec, Tolerance
from tests.docs.pages import page, table_rows

TEXT = page("docs/filters.md")
ROWS = table_rows(TEXT)


def written(value: Any) -> str:
    """A default as a recipe would say it."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=1_000).removesuffix("...\n").strip()


def values(kind: type[BaseModel]) -> list[str]:
    """``name: default`` of every value of a model."""
    fields = kind.model_fields.items()
    return [name if f.default is PydanticUndefined else f"{name}: {written(f.default)}" for name, f in fields]


def filter_class(word: str) -> type[BaseModel]:
    (kind,) = (part for part in get_args(Filters.model_fields[word].annotation) if part is not type(None))
    return kind


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_every_filter_has_a_row_with_its_values(word: str) -> None:
    _, looks_at, said, who = ROWS[word]
    assert looks_at
    assert who
    assert said == ", ".join(
        f"`{v}`" if ":" in v else f"`{v}` (must be given)" for v in values(filter_class(word))
    ) or (said == "none" and not values(filter_class(word)))


def test_the_rows_stand_in_the_order_of_judgement() -> None:
    assert [word for word in ROWS if word in FILTER_NAMES] == list(FILTER_NAMES)


@pytest.mark.parametrize("word", DUPLICATE_REASONS)
def test_every_duplicate_rule_has_a_row(word: str) -> None:
    assert len(ROWS[word]) == 4


@pytest.mark.parametrize(
    "said", [*values(NearDuplicate), *values(SemanticDuplicate), *values(Dedup), *values(Tolerance)]
)
def test_defaults_of_the_other_rules_are_told(said: str) -> None:
    assert said in TEXT


def test_an_academic_source_must_say_so() -> None:
    assert f"academic: {written(SourceSpec.model_fields['academic'].default)}" in ROWS["longest_caption"][2]
