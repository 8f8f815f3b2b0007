"""Recipes: every mistake is reported with its location, paths start at the recipe's folder, and all recipes here load."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.recipe.recipe import Recipe, check_output, load_recipe
from qvl.pipeline.recipe.source import ADDED_SETTINGS, reading

ROOT = Path(__file__).parents[3]
YAML = [*ROOT.glob("examples/*.yaml"), *ROOT.glob("pipeline/recipes/*.yaml")]
# recipes of builders and of training, which are tested with the code that reads them
OTHERS = (
    "ocr_demo.yaml",
    "grounding_demo.yaml",
    "text_demo.yaml",
    "train_tiny.yaml",
    "journey.yaml",
    "journey_gpu.yaml",
)
SHIPPED = sorted(
    path
    for pattern in ("examples/*.yaml", "pipeline/recipes/*.yaml")
    for path in ROOT.glob(pattern)
    if path.name not in OTHERS
)

GOOD = """
name: small
sources:
  - name: web
    read: {kind: webdataset, paths: [data/*.tar, /abs/*.tar, "s3://bucket/*.tar"]}
    filters: {emoji: null, clip: {minimum: 0.3}}
  - name: local
    priority: 1
    academic: true
    read: {kind: table, paths: ["../t.jsonl"], image_folder: images, columns: {caption: text, path: file}}
filters: {emoji: {}, image_size: {minimum_side: 100}}
"""


def load(folder: Path, text: str) -> Recipe:
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return load_recipe(folder / "recipe.yaml")


def error_of(folder: Path, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    assert "recipe.yaml" in message
    return message


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_recipe_of_the_repository_loads(path: Path) -> None:
    assert load_recipe(path).sources


def test_there_are_recipes_in_the_repository() -> None:
    assert {"demo.yaml", "qwen_vl_stage1.yaml"} <= {path.name for path in SHIPPED}


def test_the_stage_one_recipe_has_the_ten_rows_of_table_2() -> None:
    recipe = load_recipe(ROOT / "pipeline" / "recipes" / "qwen_vl_stage1.yaml")
    rows = [source.table2 for source in recipe.sources if source.table2 is not None]
    published = [row for row in rows if row.dataset != "In-house Data"]
    assert len(rows) in (9, 10)
    assert sum(row.cleaned for row in published) < sum(row.original for row in published)


def test_filters_of_a_source_are_completed_by_those_of_the_recipe(tmp_path: Path) -> None:
    recipe = load(tmp_path, GOOD)
    assert [word for _, word, _ in recipe.filters_of("web").active()] == [
        *("image_size", "markup", "clip", "no_caption"),
    ]
    assert [word for _, word, _ in recipe.filters_of("local").active()] == [
        *("image_size", "markup", "emoji", "no_caption"),
    ]


def test_the_settings_that_affect_columns_contain_no_folders(tmp_path: Path) -> None:
    for source in load(tmp_path, GOOD).sources:
        assert str(tmp_path) not in str(reading(source))
        assert "preset" in reading(source)


@pytest.mark.parametrize(
    ("change", "location", "what"),
    [
        (("name: small", "name: small\nfliters: {}"), "fliters", "unknown key"),
        (("emoji: {}", "emojis: {}"), "filters.emojis", "unknown key"),
        (("minimum_side: 100", "minimum: 100"), "filters.image_size.minimum", "unknown key"),
        (("priority: 1", "prioritty: 1"), "sources.1.prioritty", "unknown key"),
        (("image_folder: images", "images: images"), "sources.1.read.images", "unknown key"),
        (("caption: text", "capton: text"), "columns.capton", "unknown key"),
        (("name: small", "title: small"), "name", "Field required"),
        (("name: small", "name: Not OK"), "name", "pattern"),
        (("name: local", "name: web"), "recipe", "two sources have the same name"),
        (("kind: table", "kind: tabel"), "sources.1.read", "tabel"),
        (("priority: 1", "priority: -1"), "sources.1.priority", "greater than or equal"),
        (("minimum: 0.3", "minimum: x"), "clip.minimum", "number"),
        (('paths: [data/*.tar, /abs/*.tar, "s3://bucket/*.tar"]', "paths: data/*.tar"), "sources.0.read.paths", "list"),
        (('paths: ["../t.jsonl"]', "paths: []"), "sources.1.read.paths", "at least 1"),
        (("kind: table, ", ""), "sources.1.read", "webdataset, table"),
        (("minimum: 0.3", "minimum: .nan"), "clip.minimum", "finite"),
        (("minimum: 0.3", "minimum: .inf"), "clip.minimum", "finite"),
        (("emoji: {}", "image_format: {allowed: [jpg]}"), "filters.image_format.allowed.0", "'jpeg'"),
        (("emoji: {}", "image_format: {allowed: []}"), "filters.image_format.allowed", "at least 1"),
        (("emoji: {}", "image_mode: {allowed: [rgb]}"), "filters.image_mode.allowed.0", "'RGB'"),
        (("emoji: {}", "language: {allowed: [EN]}"), "filters.language.allowed.0", "pattern"),
        (("emoji: {}", "language: {allowed: [english]}"), "filters.language.allowed.0", "pattern"),
        (("emoji: {}", "language: {allowed: []}"), "filters.language.allowed", "at least 1"),
        (("emoji: {}", "emoji: 5"), "filters.emoji", "mapping"),
        (("emoji: {}", "word_count: {minimum: 9, maximum: 5}"), "word_count", "minimum 9 is above maximum 5"),
        (("emoji: {}", "text_length: {minimum: 1001}"), "text_length", "minimum 1001 is above maximum 1000"),
        (("emoji: {}", "image_bytes: {maximum: 4999}"), "image_bytes of source web", "minimum 5000"),
        (("name: small", "name: small\npack: {seed: -1}"), "pack.seed", "greater than or equal to 0"),
        (("name: small", f"name: small\npack: {{seed: {2**70}}}"), "pack.seed", "less than"),
        (("name: small", f"name: small\npack: {{shard_rows: {2**70}}}"), "pack.shard_rows", "less than"),
    ],
)
def test_a_mistake_is_reported_with_its_location(
    tmp_path: Path, change: tuple[str, str], location: str, what: str
) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    message = error_of(tmp_path, text)
    assert location in message
    assert what in message
    assert ("; " in message) == ("title" in change[1]), "one mistake, or two where a key was renamed"
    assert not {"tuple", "discriminator", "value error"} & set(message.lower().replace(":", " ").split())


def test_a_source_may_set_one_bound_and_leave_the_other_to_the_recipe(tmp_path: Path) -> None:
    text = GOOD.replace("emoji: {}", "text_length: {minimum: 2000, maximum: 5000}")
    own = text.replace("emoji: null", "text_length: {minimum: 1500}")
    chosen = load(tmp_path, own).filters_of("web").text_length
    assert chosen is not None
    assert (chosen.minimum, chosen.maximum) == (1_500, 5_000)
    message = error_of(tmp_path, text.replace("emoji: null", "text_length: {maximum: 1500}"))
    assert "filters.text_length of source web: minimum 2000 is above maximum 1500" in message


def test_all_mistakes_are_reported_in_one_line(tmp_path: Path) -> None:
    message = error_of(tmp_path, GOOD.replace("emoji: {}", "emojis: {}").replace("priority: 1", "priority: x"))
    assert "filters.emojis: unknown key" in message
    assert "sources.1.priority: " in message


NOT_RECIPES = [
    *("", "a", "- a", "5", "\0", "name: [", "name: \t x: y", "name: *x", "language_model: 5", "? [a, b]: c"),
    *("name: x\nsources: 5", "name: x\nsources: {a: 1}", "name: x\nsources: []", "name: x\nsources: [1]"),
    "name: x\nsources: [{name: a, read: 1}]",
    "name: x\nsources: [{name: a, read: {kind: webdataset, paths: [5]}}]",
]


@pytest.mark.parametrize("text", NOT_RECIPES)
def test_a_file_that_is_not_a_recipe_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    error_of(tmp_path, text)


@pytest.mark.parametrize("pattern", ["'**/*.tar'", "'*/shards/*.tar'", "'**/*.parquet'", "'{out,data}/ledger/*'"])
def test_inputs_that_would_match_the_output_are_an_error(tmp_path: Path, pattern: str) -> None:
    recipe = load(tmp_path, f"name: x\nsources: [{{name: a, read: {{kind: webdataset, paths: [{pattern}]}}}}]")
    with pytest.raises(RecipeError, match=r"the run itself would write, such as .*out/.*choose an --output"):
        check_output(recipe, tmp_path / "out")
    check_output(recipe, tmp_path.parent / "elsewhere")


def test_inputs_next_to_the_output_are_accepted(tmp_path: Path) -> None:
    check_output(load(tmp_path, GOOD), tmp_path / "out")


@pytest.mark.parametrize("out", ["file", "file/below/it"])
def test_an_output_that_is_a_file_is_an_error(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RecipeError, match="file is a file; name a folder"):
        check_output(load(tmp_path, GOOD), tmp_path / out)


def test_a_recipe_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match=str(tmp_path)):
        load_recipe(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(RecipeError, match="latin"):
        load_recipe(tmp_path / "latin.yaml")


def test_a_key_that_occurs_twice_is_an_error(tmp_path: Path) -> None:
    assert "filters" in error_of(tmp_path, GOOD + "filters: {}\n")
    assert "emoji" in error_of(tmp_path, GOOD.replace("emoji: {}", "emoji: {}, emoji: {maximum: 3}"))


def test_reading_when_a_later_setting_has_its_default_is_that_of_version_01() -> None:
    for read in ({"kind": "webdataset", "paths": ["*.tar"]}, {"kind": "table", "paths": ["*.parquet"]}):
        default, changed = (
            Recipe.model_validate({"name": "r", "sources": [{"name": "a", "read": {**read, **more}}]}).sources[0]
            for more in ({}, {"max_expansion": 7})
        )
        fields = set(type(default.read).model_fields) - {"paths", "image_folder"}
        assert set(reading(default)) == fields - set(ADDED_SETTINGS)
        assert reading(changed) == {**reading(default), "max_expansion": 7}
