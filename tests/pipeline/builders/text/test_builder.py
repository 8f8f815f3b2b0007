"""The builder of text: its fingerprint parts, and the exclusion list it needs."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.builders.text.builder import text_builder
from qvl.pipeline.builders.text.recipe import load_recipe


def write_recipe(folder: Path, more: str = "") -> Path:
    (folder / "a.jsonl").write_text(
        '{"id": "x", "text": "A first sentence that is long enough to be kept."}\n{"text": 5}\n'
    )
    path = folder / "r.yaml"
    path.write_text(f"name: x\nsources: [{{name: a, kind: text, paths: [a.jsonl]{more}}}]")
    return path


def test_make_gives_a_row_per_input_row_with_its_ledger_columns(tmp_path: Path) -> None:
    builder = text_builder(load_recipe(write_recipe(tmp_path)))
    (unit,) = builder.units()
    kept, dropped = builder.make(unit)
    assert (kept.verdict, kept.key, dropped.verdict) == ("keep", "x", "unreadable:no_text")
    assert kept.columns == {"language": "en", "characters": 48, "turns": 1, "images": 0}
    assert kept.samples[0].id.endswith("-0000000-0")


def test_parts_change_with_a_setting_and_not_with_the_folder(tmp_path: Path) -> None:
    parts = []
    for name, more in (("first", ""), ("second", ""), ("third", ", minimum: 10")):
        (tmp_path / name).mkdir()
        builder = text_builder(load_recipe(write_recipe(tmp_path / name, more)))
        (unit,) = builder.units()
        parts.append({key: value for key, value in builder.parts(unit).items() if key != "input"})
    assert parts[0] == parts[1] != parts[2]


def test_text_builder_raises_when_the_exclusion_list_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("name: x\nexclusion: none.parquet\nsources: [{name: a, kind: text, paths: [a]}]")
    with pytest.raises(RecipeError, match="qvl ground exclude"):
        text_builder(load_recipe(path))
