"""What holds for every filter. A new filter is tested here without any change."""

import importlib
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest
from pydantic import ValidationError

import qvl.pipeline.filters
from qvl.pipeline.curate.measuring.columns import COLUMNS
from qvl.pipeline.filters import FILTER_NAMES, Filters
from qvl.pipeline.filters.base import Filter
from tests.pipeline.filters.judging import rows

FOLDER = Path(qvl.pipeline.filters.__file__).parent
TESTS = Path(__file__).parents[1] / "pipeline" / "filters"
REQUIRED: dict[str, dict[str, Any]] = {"clip": {"minimum": 0.25}}

MIXED = rows(
    width=[640, 10, None, 0],
    height=[480, 900, None, 0],
    format=["jpeg", "gif", None, "tiff"],
    mode=["RGB", "L;16", None, "RGB"],
    animated=[False, True, None, False],
    image_bytes=[40_000, 10, None, 0],
    characters=[40, 2, None, 0],
    words=[8, 1, None, 0],
    emoji=[0, 3, None, 0],
    markers=[0, 1, None, 0],
    special_tags=[0, 1, None, 0],
    other=[0.0, 1.0, None, 0.0],
    language=["en", "fr", None, "und"],
    language_probability=[0.9, 0.9, None, 0.0],
    clip=[0.3, 0.1, None, 0.0],
    nsfw=[0.1, 0.9, None, 0.0],
    watermark=[0.1, 0.9, None, 0.0],
)


def class_of(name: str) -> type[Filter]:
    (kind,) = (a for a in get_args(Filters.model_fields[name].annotation) if a is not type(None))
    assert issubclass(kind, Filter)
    return kind


def make(name: str) -> Filter:
    return class_of(name)(**REQUIRED.get(name, {}))


def test_every_filter_has_a_file_and_every_file_a_filter() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base", "column"}
    assert files == set(FILTER_NAMES)


def test_every_filter_has_a_bit_of_its_own() -> None:
    assert len(FILTER_NAMES) < 32
    active = list(Filters(**{name: make(name) for name in FILTER_NAMES}).active())
    assert [(bit, name) for bit, name, _ in active] == list(enumerate(FILTER_NAMES))


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_file_class_recipe_key_and_test_have_the_name_of_the_filter(name: str) -> None:
    kind = class_of(name)
    assert kind.__name__ == name.title().replace("_", "")
    assert kind.__module__ == f"qvl.pipeline.filters.{name}"
    assert kind.__mro__[1] is Filter
    test = TESTS / f"test_{name}.py"
    assert f"import {kind.__name__}\n" in test.read_text()


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_it_documents_its_purpose_and_declares_its_columns(name: str) -> None:
    module = importlib.import_module(f"qvl.pipeline.filters.{name}")
    assert module.__doc__
    assert len(module.__doc__) > 20
    assert class_of(name).reads
    assert set(class_of(name).reads) <= set(COLUMNS.names)


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_it_returns_one_boolean_per_row_and_changes_nothing(name: str) -> None:
    before = MIXED.to_pylist()
    answer = make(name).keep(MIXED)
    assert (len(answer), answer.type) == (len(MIXED), pa.bool_())
    assert MIXED.to_pylist() == before
    assert answer[0].as_py() is True
    assert answer[2].as_py() is not True


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_some_row_does_not_pass(name: str) -> None:
    assert False in make(name).keep(MIXED).to_pylist()


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_it_needs_only_the_columns_that_it_declares(name: str) -> None:
    chosen = make(name)
    few = MIXED.select(list(chosen.reads))
    assert chosen.keep(few).to_pylist() == chosen.keep(MIXED).to_pylist()


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_a_result_does_not_depend_on_the_other_rows(name: str) -> None:
    chosen = make(name)
    whole = chosen.keep(MIXED).to_pylist()
    assert [chosen.keep(MIXED.slice(i, 1)).to_pylist()[0] for i in range(len(MIXED))] == whole


@pytest.mark.parametrize("name", FILTER_NAMES)
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_it_accepts_tables_and_empty_batches(name: str, chunks: int) -> None:
    chosen = make(name)
    assert len(chosen.keep(MIXED.slice(0, 0))) == 0
    table = pa.Table.from_batches([MIXED] * chunks, MIXED.schema)
    assert chosen.keep(table).to_pylist() == chosen.keep(MIXED).to_pylist() * chunks


@pytest.mark.parametrize("name", FILTER_NAMES)
def test_it_is_immutable_and_rejects_unknown_keys(name: str) -> None:
    chosen = make(name)
    with pytest.raises(ValidationError):
        class_of(name)(**REQUIRED.get(name, {}), unknown=1)
    for field in type(chosen).model_fields:
        with pytest.raises(ValidationError):
            setattr(chosen, field, getattr(chosen, field))
    assert type(chosen).model_validate(chosen.model_dump()) == chosen


def test_a_sources_filters_are_completed_by_the_defaults() -> None:
    defaults = Filters.model_validate({"emoji": {}, "text_length": {"minimum": 9}, "image_size": {}})
    own = Filters.model_validate({"emoji": None, "text_length": {"maximum": 50}, "clip": {"minimum": 0.3}})
    active = {name: chosen for _, name, chosen in own.over(defaults).active()}
    assert set(active) == {"text_length", "image_size", "clip"}
    assert active["text_length"].model_dump() == {"minimum": 9, "maximum": 50}
    assert Filters().over(defaults).model_dump() == defaults.model_dump()
    assert not list(Filters().active())


@pytest.mark.parametrize(
    ("default", "own", "both"),
    [
        (
            {"language": {"allowed": ["en"], "minimum_probability": 0.9}},
            {"language": {"minimum_probability": 0.5}},
            {"allowed": ("en",), "minimum_probability": 0.5},
        ),
        (
            {"language": {"allowed": ["de"]}},
            {"language": {"allowed": ["en", "zh"]}},
            {"allowed": ("en", "zh"), "minimum_probability": 0.0},
        ),
        ({"language": {"allowed": ["de"]}}, {"language": {}}, {"allowed": ("de",), "minimum_probability": 0.0}),
        ({}, {"language": {"allowed": ["de"]}}, {"allowed": ("de",), "minimum_probability": 0.0}),
    ],
)
def test_a_source_overrides_a_default_filter_value_by_value(
    default: dict[str, Any], own: dict[str, Any], both: dict[str, Any]
) -> None:
    merged = Filters.model_validate(own).over(Filters.model_validate(default))
    assert merged.language is not None
    assert merged.language.model_dump() == both


def test_filters_run_in_a_fixed_order_whatever_the_recipes_order() -> None:
    one = Filters.model_validate({"clip": {"minimum": 0.3}, "animated": {}})
    assert [name for _, name, _ in one.active()] == ["animated", "clip"]
