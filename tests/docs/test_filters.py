"""docs/filters.md lists every filter and duplicate rule with the settings and defaults of the code."""

from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from qvl.pipeline.duplicates.rules import DUPLICATE_REASONS
from qvl.pipeline.filters import FILTER_NAMES, Filters
from qvl.pipeline.recipe.duplicates import Dedup, NearDuplicate, SemanticDuplicate
from qvl.pipeline.recipe.recipe import Tolerance
from qvl.pipeline.recipe.source import SourceSpec
from tests.docs.pages import page, table_rows

TEXT = page("docs/filters.md")
ROWS = table_rows(TEXT)


def written(value: Any) -> str:
    """A default as a recipe would write it."""
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=1_000).removesuffix("...\n").strip()


def values(kind: type[BaseModel]) -> list[str]:
    """``name: default`` for every field of a model."""
    fields = kind.model_fields.items()
    return [name if f.default is PydanticUndefined else f"{name}: {written(f.default)}" for name, f in fields]


def filter_class(name: str) -> type[BaseModel]:
    (kind,) = (part for part in get_args(Filters.model_fields[name].annotation) if part is not type(None))
    return kind


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_filter_when_looked_up_has_a_row_with_its_settings(name: str) -> None:
    _, looks_at, settings, used_by = ROWS[name]
    assert looks_at
    assert used_by
    assert settings == ", ".join(f"`{v}`" if ":" in v else f"`{v}` (required)" for v in values(filter_class(name))) or (
        settings == "none" and not values(filter_class(name))
    )


def test_rows_of_filters_when_listed_are_in_the_order_in_which_filters_run() -> None:
    assert [name for name in ROWS if name in FILTER_NAMES] == list(FILTER_NAMES)


@pytest.mark.parametrize("reason", DUPLICATE_REASONS)
def test_duplicate_rule_when_looked_up_has_a_row(reason: str) -> None:
    assert len(ROWS[reason]) == 4


@pytest.mark.parametrize(
    "setting", [*values(NearDuplicate), *values(SemanticDuplicate), *values(Dedup), *values(Tolerance)]
)
def test_setting_of_another_rule_when_searched_is_in_the_page(setting: str) -> None:
    assert setting in TEXT


def test_default_of_academic_when_looked_up_is_in_the_row_of_its_rule() -> None:
    assert f"academic: {written(SourceSpec.model_fields['academic'].default)}" in ROWS["longest_caption"][2]
