"""The choice among the texts of rows, over tables of texts."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from qvl.pipeline.curate.measuring.chosen import TextChoice, choose_texts, labels
from qvl.pipeline.curate.measuring.columns import CATEGORY
from qvl.pipeline.filters import Filters
from qvl.pipeline.recipe.caption import Caption
from qvl.pipeline.recipe.score import Score

CLIP = Score.model_validate({"clip": {"english": {"model": "ViT-B-32", "pretrained": "x"}}})


def texts(*records: tuple[int, str, int, int, str, float | None]) -> pa.Table:
    """Texts from row, name, index, characters, language and score."""
    row, name, index, characters, language, clip = zip(*records, strict=True)
    return pa.table(
        {
            "row": pa.array(row, pa.int32()),
            "text": pa.array(name).dictionary_encode().cast(CATEGORY),
            "index": pa.array(index, pa.int16()),
            "characters": pa.array(characters, pa.int32()),
            "markers": pa.array([0] * len(row), pa.int32()),
            "language": pa.array(language).dictionary_encode().cast(CATEGORY),
            "language_probability": pa.array([1.0] * len(row), pa.float32()),
            "clip": pa.array(clip, pa.float32()),
        }
    )


def choice(rule: dict[str, Any], filters: dict[str, Any] | None = None, score: Score | None = None) -> TextChoice:
    return TextChoice(("alt", "recaption"), Caption.model_validate(rule), Filters.model_validate(filters or {}), score)


def chosen(table: pa.Table, made: TextChoice, unscored: bool = False) -> list[int]:
    rows = table["row"][-1].as_py() + 1
    return choose_texts(table, "unit-0", made, np.full(rows, unscored)).tolist()


TWO = texts((0, "alt", -1, 3, "en", 0.1), (0, "recaption", -1, 40, "en", 0.3), (1, "recaption", -1, 9, "zh", 0.2))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, [0, 2]),
        ({"order": "recaption"}, [1, 2]),
        ({"order": "alt"}, [0, -1]),
        ({"best": "characters"}, [1, 2]),
        ({"language": "zh"}, [0, 2]),
        ({"mix": {"recaption": 1}}, [1, 2]),
    ],
)
def test_choose_texts_when_all_pass_follows_the_rule(rule: dict[str, Any], expected: list[int]) -> None:
    assert chosen(TWO, choice(rule)) == expected


def test_choose_texts_when_a_text_fails_its_filters_takes_the_next_and_else_the_first() -> None:
    assert chosen(TWO, choice({}, {"text_length": {"minimum": 6}})) == [1, 2]
    assert chosen(TWO, choice({}, {"text_length": {"minimum": 60}})) == [0, 2]


def test_choose_texts_when_scored_judges_the_score_of_each_text() -> None:
    made = choice({}, {"clip": {"minimum": 0.2}}, CLIP)
    assert chosen(TWO, made) == [1, 2]


def test_choose_texts_when_a_row_has_no_scores_prefers_a_text_that_passes_the_other_filters() -> None:
    made = choice({}, {"text_length": {"minimum": 6}, "clip": {"minimum": 0.9}}, CLIP)
    assert chosen(TWO, made) == [0, 2]
    assert chosen(TWO, made, unscored=True) == [1, 2]


def many(rows: int, *names: tuple[str, int]) -> pa.Table:
    return texts(*[(row, name, index, 20, "en", None) for row in range(rows) for name, index in names])


def test_mix_when_rows_are_many_has_the_shares_also_of_lists() -> None:
    table = many(20_000, ("alt", -1), ("recaption", 0), ("recaption", 1))
    found = np.array(chosen(table, choice({"mix": {"alt": 0.3, "recaption": 0.7}}))) % 3
    shares = np.bincount(found, minlength=3) / len(found)
    assert np.abs(shares - [0.3, 0.35, 0.35]).max() < 0.015


def test_mix_when_a_text_fails_moves_only_the_rows_that_had_it() -> None:
    table = many(2_000, ("alt", -1), ("recaption", 0), ("recaption", 1))
    made = choice({"mix": {"alt": 1, "recaption": 2}}, {"text_length": {"minimum": 6}})
    before = np.array(chosen(table, made))
    shorter = np.where(np.arange(len(table)) % 3 == 2, 1, 20)
    at = table.schema.get_field_index("characters")
    after = np.array(chosen(table.set_column(at, "characters", pa.array(shorter, pa.int32())), made))
    had_it = before % 3 == 2
    assert had_it.any()
    assert (after[~had_it] == before[~had_it]).all()
    assert (after[had_it] % 3 != 2).all()


def test_mix_when_the_seed_or_the_unit_differs_draws_others() -> None:
    table = many(500, ("alt", -1), ("recaption", -1))
    none = np.zeros(500, bool)
    draws = [
        choose_texts(table, unit, choice({"mix": {"alt": 1, "recaption": 1}, "seed": seed}), none).tolist()
        for unit, seed in (("u", 0), ("u", 0), ("u", 1), ("v", 0))
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0] != draws[3]


def test_choose_texts_when_rows_are_taken_alone_chooses_the_same() -> None:
    table = many(50, ("alt", -1), ("recaption", 0), ("recaption", 1))
    made = choice({"mix": {"alt": 1, "recaption": 1}})
    first = chosen(table.slice(0, 30), made)
    assert chosen(table, made)[:10] == first[:10]


def test_labels_when_a_text_is_of_a_list_have_its_index() -> None:
    assert labels(many(1, ("alt", -1), ("recaption", 0), ("recaption", 12))).to_pylist() == [
        *("alt", "recaption.0", "recaption.12")
    ]
