"""Presets of columns, completed and overridden by the recipe."""

from typing import get_args

import pytest

from qvl.pipeline.sources.columns import MEASURES, PRESETS, Columns, Preset


def test_every_preset_has_columns_and_a_caption() -> None:
    assert set(PRESETS) == set(get_args(Preset))
    assert all(columns.caption is not None for columns in PRESETS.values())


def test_a_column_of_the_recipe_overrides_that_of_the_preset() -> None:
    columns = Columns(caption="text", url=None).over(PRESETS["laion"])
    assert (columns.caption, columns.url, columns.clip) == ("text", None, "similarity")


@pytest.mark.parametrize("preset", get_args(Preset))
def test_every_measured_column_is_read(preset: Preset) -> None:
    columns = PRESETS[preset]
    measured = columns.measures()
    assert [name for name, _ in measured] == [name for name in MEASURES if getattr(columns, name) is not None]
    assert {column for _, column in measured} <= set(columns.named())
