"""What every filter keeps to. A new filter is met here by itself."""

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


def class_of(word: str) -> type[Filter]:
    (kind,) = (a for a in get_args(Filters.model_fields[word].annotation) if a is not type(None))
    assert issubclass(kind, Filter)
    return kind


def make(word: str) -> Filter:
    return class_of(word)(**REQUIRED.get(word, {}))


def test_every_file_is_in_the_union_and_every_member_has_a_file() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "base"}
    assert files == set(FILTER_NAMES)


def test_there_is_a_bit_for_every_filter() -> None:
    assert len(FILTER_NAMES) < 32
    active = list(Filters(**{word: make(word) for word in FILTER_NAMES}).active())
    assert [(bit, word) for bit, word, _ in active] == list(enumerate(FILTER_NAMES))


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_one_word_in_five_places(word: str) -> None:
    kind = class_of(word)
    assert kind.__name__ == word.title().replace("_", "")
    assert kind.__module__ == f"qvl.pipeline.filters.{word}"
    assert kind.__mro__[1] is Filter
    test = TESTS / f"test_{word}.py"
    assert f"import {kind.__name__}\n" in test.read_text()


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_it_says_what_it_is_for_and_what_it_reads(word: str) -> None:
    module = importlib.import_module(f"qvl.pipeline.filters.{word}")
    assert module.__doc__
    assert len(module.__doc__) > 20
    assert class_of(word).reads
    assert set(class_of(word).reads) <= set(COLUMNS.names)


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_it_gives_one_boolean_per_row_and_changes_nothing(word: str) -> None:
    before = MIXED.to_pylist()
    answer = make(word).keep(MIXED)
    assert (len(answer), answer.type) == (len(MIXED), pa.bool_())
    assert MIXED.to_pylist() == before
    assert answer[0].as_py() is True
    assert answer[2].as_py() is not True


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_some_row_fails_it(word: str) -> None:
    assert False in make(word).keep(MIXED).to_pylist()


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_it_needs_nothing_but_the_columns_that_it_names(word: str) -> None:
    chosen = make(word)
    few = MIXED.select(list(chosen.reads))
    assert chosen.keep(few).to_pylist() == chosen.keep(MIXED).to_pylist()


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_a_row_is_judged_alone(word: str) -> None:
    chosen = make(word)
    whole = chosen.keep(MIXED).to_pylist()
    assert [chosen.keep(MIXED.slice(i, 1)).to_pylist()[0] for i in range(len(MIXED))] == whole


@pytest.mark.parametrize("word", FILTER_NAMES)
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_it_takes_tables_and_empty_batches(word: str, chunks: int) -> None:
    chosen = make(word)
    assert len(chosen.keep(MIXED.slice(0, 0))) == 0
    table = pa.Table.from_batches([MIXED] * chunks, MIXED.schema)
    assert chosen.keep(table).to_pylist() == chosen.keep(MIXED).to_pylist() * chunks


@pytest.mark.parametrize("word", FILTER_NAMES)
def test_it_is_frozen_and_strict(word: str) -> None:
    chosen = make(word)
    with pytest.raises(ValidationError):
        class_of(word)(**REQUIRED.get(word, {}), unknown=1)
    for name in type(chosen).model_fields:
        with pytest.raises(ValidationError):
            setattr(chosen, name, getattr(chosen, name))
    assert type(chosen).model_validate(chosen.model_dump()) == chosen


def test_a_source_says_only_what_differs() -> None:
    defaults = Filters.model_validate({"emoji": {}, "text_length": {"minimum": 9}, "image_size": {}})
    own = Filters.model_validate({"emoji": None, "text_length": {"maximum": 50}, "clip": {"minimum": 0.3}})
    active = {word: chosen for _, word, chosen in own.over(defaults).active()}
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
def test_a_source_overrides_value_by_value(default: dict[str, Any], own: dict[str, Any], both: dict[str, Any]) -> None:
    merged = Filters.model_validate(own).over(Filters.model_validate(default))
    assert merged.language is not None
    assert merged.language.model_dump() == both


def test_the_order_of_the_recipe_does_not_matter() -> None:
    one = Filters.model_validate({"clip": {"minimum": 0.3}, "animated": {}})
    assert [word for _, word, _ in one.active()] == ["animated", "clip"]
