"""The builder of text: its fingerprint parts, and the exclusion list it needs."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.builders.builder import ledger_schema
from qvl.pipeline.builders.text.builder import text_builder
from qvl.pipeline.builders.text.recipe import load_recipe
from tests.pipeline.builders.text.interleaved_files import obelics, png


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


def test_make_when_a_document_becomes_two_samples_gives_each_its_own_pictures(tmp_path: Path) -> None:
    texts = [None, "A" * 90, None, "B" * 90, None]
    obelics(tmp_path / "docs" / "a.parquet", [(["0.png", None, "1.png", None, "gone.png"], texts)])
    (tmp_path / "images").mkdir()
    for number in range(2):
        (tmp_path / "images" / f"{number}.png").write_bytes(png(number))
    path = tmp_path / "r.yaml"
    source = "{name: a, kind: interleaved, paths: [docs/*.parquet], image_folder: images, characters: 100}"
    path.write_text(f"name: x\nsources: [{source}]")
    builder = text_builder(load_recipe(path))
    (unit,) = builder.units()
    (row,) = builder.make(unit)
    assert [[image.data for image in sample.images] for sample in row.samples] == [[png(0)], [png(1)]]
    assert [sample.record.task for sample in row.samples] == ["interleaved"] * 2
    assert [sample.record.turns[0].text for sample in row.samples] == ["<img>0</img>\n"] * 2
    assert {name: row.columns[name] for name in ("images", "lost_images")} == {"images": 2, "lost_images": 1}
    assert set(row.columns) <= set(ledger_schema(builder).names)


def test_ledger_of_a_recipe_without_documents_has_no_columns_of_documents(tmp_path: Path) -> None:
    builder = text_builder(load_recipe(write_recipe(tmp_path)))
    assert "lost_images" not in ledger_schema(builder).names
