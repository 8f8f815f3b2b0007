"""The recipes of docs/sources are read by the real code and run on tiny files in the formats that the pages describe."""

import json
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from typer.testing import CliRunner

import qvl.synth_ocr.build.recipe
from qvl.command import app
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.recipe.recipe import load_recipe
from tests.docs import tiny_datasets
from tests.docs.pages import ROOT, blocks, page, table_rows

SHIPPED = load_recipe(ROOT / "pipeline/recipes/qwen_vl_stage1.yaml")
CURATED = [source.name for source in SHIPPED.sources]
GROUNDED = {
    "grit": {"grit": {"keep": 1}},
    "visual_genome": {"visual_genome": {"keep": 3, "leak:id": 3}},
    "refcoco": {name: {"keep": 1, "not_train": 1} for name in ("refcoco", "refcoco_plus", "refcocog")},
    "vqa": {
        "vqav2": {"keep": 1, "leak:id": 1},
        **{key: {"keep": 1} for key in ("gqa", "docvqa", "chartqa_human", "chartqa_augmented", "ai2d", "dvqa")},
        **{key: {"keep": 1, "not_train": 1} for key in ("textvqa", "ocrvqa")},
    },
}
PAGES = {path.stem for path in (ROOT / "docs/sources").glob("*.md")} - {"README"}


def written(name: str, folder: Path) -> Path:
    """The path of a file with the recipe of a page."""
    (text,) = blocks(page(f"docs/sources/{name}.md"), "yaml")
    path = folder / f"{name}.yaml"
    path.write_text(text, "utf-8")
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout.strip().splitlines()[-1]


def ledger(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(out / "ledger", format="parquet").to_table().to_pylist()
    return sorted(rows, key=lambda row: (row["source"], row["row"]))


def test_pages_of_sources_when_listed_are_tested_and_in_the_index() -> None:
    assert {
        *CURATED,
        *GROUNDED,
        "synthdog",
        "common_crawl_pdf",
        "common_crawl_html",
        "dialogues",
        "interleaved",
    } == PAGES
    index = page("docs/sources/README.md")
    assert all(f"({name}.md)" in index for name in PAGES)


@pytest.mark.parametrize("name", CURATED)
def test_recipe_of_a_page_when_loaded_agrees_with_the_shipped_recipe(name: str, tmp_path: Path) -> None:
    (source,), shipped = load_recipe(written(name, tmp_path)).sources, SHIPPED.source(name)
    assert source.model_dump(exclude={"read"}) == shipped.model_dump(exclude={"read"})
    paths = {"paths", "image_folder"}
    assert source.read.model_dump(exclude=paths) == shipped.read.model_dump(exclude=paths)
    assert load_recipe(tmp_path / f"{name}.yaml").filters_of(name) == SHIPPED.filters_of(name)


@pytest.mark.parametrize("name", [name for name in CURATED if name != "coco_caption"])
def test_web_dataset_with_the_described_columns_when_curated_gets_the_expected_verdicts(
    name: str, tmp_path: Path
) -> None:
    recipe = written(name, tmp_path)
    source = SHIPPED.source(name)
    columns = {column: cells[2] for column, cells in table_rows(page(f"docs/sources/{name}.md")).items()}
    columns = {} if name == "sbu" else columns  # its lists become img2dataset's own columns
    scored = source.filters.clip is not None
    rows = [tiny_datasets.record(columns, tiny_datasets.CAPTION, score) for score in (0.5, 0.1, 0.5)]
    if not columns:
        rows = [{"caption": text} for text in (tiny_datasets.CAPTION, f"{tiny_datasets.CAPTION} of <PERSON>", "lost")]
    pattern = source.read.paths[0].split("DATA/")[1]
    alt_text = "the old alt text" if name == "laion_coco" else tiny_datasets.CAPTION
    tiny_datasets.img2dataset(tmp_path / pattern.replace("*", "00000"), rows, alt_text if columns else None)
    run("curate", "run", str(recipe), "--output", str(tmp_path / "out"))
    first, second, lost = ledger(tmp_path / "out")
    assert (first["verdict"], lost["verdict"]) == ("keep", "download:failed_to_download")
    assert second["verdict"] == ("clip" if scored else "special_tag" if source.academic else "keep")
    assert first["caption"] == tiny_datasets.CAPTION
    scores = tiny_datasets.SCORES
    read = [name for name in scores if any(read_as.split(" ")[0] == f"`{name}`" for read_as in columns.values())]
    assert [name for name in scores if first[name] == pytest.approx(0.5)] == read


def test_coco_captions_when_curated_are_both_kept(tmp_path: Path) -> None:
    recipe = written("coco_caption", tmp_path)
    tiny_datasets.coco_captions(tmp_path / "coco")
    run("curate", "run", str(recipe), "--output", str(tmp_path / "out"))
    assert [row["verdict"] for row in ledger(tmp_path / "out")] == ["keep", "keep"]


@pytest.mark.parametrize("name", GROUNDED)
def test_annotations_in_the_described_layout_when_built_get_the_expected_verdicts(name: str, tmp_path: Path) -> None:
    recipe = written(name, tmp_path)
    tiny_datasets.train2014(tmp_path)
    for one, split_by in (("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")):
        tiny_datasets.refer(tmp_path, one, split_by)
    tiny_datasets.grit(tmp_path / "grit")
    tiny_datasets.visual_genome(tmp_path / "vg")
    tiny_datasets.questions(tmp_path)
    dataset = json.loads(run("ground", "build", str(recipe), "--output", str(tmp_path / "out"), "--json"))["dataset"]
    assert dataset["lineage"]["verdicts"] == GROUNDED[name]
    assert audit(tmp_path / "out").discrepancy is None


def test_texts_and_dialogues_in_the_described_layouts_when_built_are_kept(tmp_path: Path) -> None:
    recipe = written("dialogues", tmp_path)
    tiny_datasets.dialogues(tmp_path)
    Exclusion().write(tmp_path / "exclusion.parquet")
    dataset = json.loads(run("text", "build", str(recipe), "--output", str(tmp_path / "out"), "--json"))["dataset"]
    names = ("books", "articles", "messages", "conversations", "places")
    assert dataset["lineage"]["verdicts"] == {key: {"keep": 1} for key in names}


def test_interleaved_documents_in_the_described_layouts_when_built_are_kept(tmp_path: Path) -> None:
    recipe = written("interleaved", tmp_path)
    tiny_datasets.interleaved(tmp_path)
    Exclusion().write(tmp_path / "exclusion.parquet")
    dataset = json.loads(run("text", "build", str(recipe), "--output", str(tmp_path / "out"), "--json"))["dataset"]
    assert dataset["lineage"]["verdicts"] == {key: {"keep": 1} for key in ("obelics", "omnicorpus", "mmc4")}
    assert sum(row["images"] for row in ledger(tmp_path / "out")) == 5
    assert [row["lost_images"] for row in ledger(tmp_path / "out")] == [0, 0, 1]  # mmc4, obelics, omnicorpus


def test_document_with_latin_extended_letters_when_built_is_dropped(tmp_path: Path) -> None:
    recipe = written("common_crawl_pdf", tmp_path)
    tiny_datasets.documents(tmp_path / "data" / "pdf")
    dataset = json.loads(run("ocr", "build", str(recipe), "--output", str(tmp_path / "out"), "--json"))["dataset"]
    assert dataset["lineage"]["verdicts"] == {"pdf": {"keep": 1, "latin_extended": 1}}


@pytest.mark.parametrize("name", ["synthdog", "common_crawl_pdf", "common_crawl_html"])
def test_recipe_of_an_ocr_page_when_loaded_agrees_with_the_shipped_recipe(name: str, tmp_path: Path) -> None:
    loaded = qvl.synth_ocr.build.recipe.load_recipe(written(name, tmp_path))
    shipped = qvl.synth_ocr.build.recipe.load_recipe(ROOT / "synth_ocr/recipes/qwen_vl_ocr.yaml")
    known = {source.name: source.read.rules for source in shipped.sources}
    assert {source.name: source.read.rules for source in loaded.sources}.items() <= known.items()
