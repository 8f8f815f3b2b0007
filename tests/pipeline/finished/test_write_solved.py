"""A recipe with solved thresholds, written into its own folder and into another one."""

from pathlib import Path

import pytest
import yaml

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.finished.solve import Solved, Target, solve
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.write_solved import write_solved
from qvl.pipeline.recipe.recipe import load_recipe


@pytest.fixture
def solved(out: Path) -> list[Solved]:
    return solve(StoredColumns.open(out), [Target("web", 0.25)])


def test_write_solved_in_another_folder_sets_one_threshold_and_reads_the_same_files(
    data: Path, solved: list[Solved], tmp_path: Path
) -> None:
    target = tmp_path / "other" / "solved.yaml"
    write_solved(data / "recipe.yaml", target, solved)
    before, after = load_recipe(data / "recipe.yaml"), load_recipe(target)
    clip = after.filters_of("web").clip
    assert clip is not None and clip.minimum == solved[0].value
    assert after.filters_of("books") == before.filters_of("books")
    assert [source.read for source in after.sources] == [source.read for source in before.sources]
    note = target.read_text("utf-8").splitlines()[1]
    assert note.startswith(f"#   web: clip.minimum {solved[0].value:g} keeps ") and "asked for 25.00%" in note


def test_write_solved_in_the_same_folder_leaves_paths_as_they_were(
    data: Path, solved: list[Solved], tmp_path: Path
) -> None:
    content = yaml.safe_load((data / "recipe.yaml").read_text())
    for source in content["sources"]:
        source["read"]["image_folder"] = "images"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(content))
    write_solved(recipe, tmp_path / "solved.yaml", solved)
    written = yaml.safe_load((tmp_path / "solved.yaml").read_text())
    assert [source["read"] for source in written["sources"]] == [source["read"] for source in content["sources"]]


def test_write_solved_for_a_recipe_without_these_sources_raises(
    data: Path, solved: list[Solved], tmp_path: Path
) -> None:
    other = tmp_path / "recipe.yaml"
    other.write_text((data / "recipe.yaml").read_text().replace("name: web", "name: mesh"))
    with pytest.raises(RecipeError, match="none of the sources web"):
        write_solved(other, tmp_path / "solved.yaml", solved)
