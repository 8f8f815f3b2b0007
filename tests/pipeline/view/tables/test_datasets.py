"""What stands next to an output: mixtures, bare folders of shards, outputs on stores."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commands.view import copy_command
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.takedown.requests import read_list
from qvl.pipeline.takedown.revoke import revoke
from qvl.pipeline.view.output import Output, UserInputs
from qvl.pipeline.view.pictures import picture
from qvl.pipeline.view.tables.datasets import related_datasets
from qvl.pipeline.view.tables.faults import Faults
from qvl.pipeline.view.tables.queries import counts, keys
from tests.s3_server import environment, filesystem, s3_server
from tests.served import ROOT, served

Curated = tuple[Path, Recipe]


def test_a_training_recipe_opens_as_its_mixture(curated: Curated, tmp_path: Path) -> None:
    other = Path(shutil.copytree(curated[0] / "shards", tmp_path / "copied"))
    recipe = tmp_path / "mix.yaml"
    recipe.write_text(
        f"name: mix\ndatasets: {{pairs: {{path: {curated[0]}}}, bare: {{path: copied}}, gone: {{path: gone}}}}\n"
    )
    output = Output.open(recipe)
    cursor = output.database.cursor()
    content = output.content(cursor)
    assert content.name == "mix" and [table.name for table in content.tables] == ["samples"]
    assert content.absent == [f"dataset gone: {tmp_path}/gone was not found; name its folder with --data FOLDER"]
    query = output.query(cursor, "samples", [])
    by = {name: rows for name, rows, _ in counts(query, [query.table.column("dataset")])}
    assert set(by) == {"pairs", "bare"} and by["pairs"] == by["bare"] > 0
    key = keys(output.query(cursor, "samples", ["dataset:is:bare"]), None, False, 0)[0]
    assert picture(output, cursor, "samples", key, 0, 160)
    moved = Path(shutil.move(other, tmp_path / "elsewhere" / "copied"))
    with pytest.raises(DataError, match="does not name any datasets"):
        recipe.write_text("name: mix\n")
        Output.open(recipe)
    recipe.write_text("name: mix\ndatasets: {bare: {path: copied}}\n")
    with pytest.raises(DataError, match=r"dataset bare: .* was not found; name its folder with --data FOLDER"):
        Output.open(recipe)
    assert Output.open(recipe, UserInputs(data=(moved,))).related.missing == ()


def test_a_bare_folder_of_shards(curated: Curated, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(curated[0] / "shards", tmp_path / "copied"))
    output = Output.open(folder)
    cursor = output.database.cursor()
    assert list(output.tables) == ["samples"]
    assert picture(output, cursor, "samples", keys(output.query(cursor, "samples", []), None, False, 0)[0], 0, 160)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("{", 0),
        ("[]", 0),
        ('{"folders": 3}', 0),
        ('{"folders": [1, "\\u0000", "s3://x/y", "gone"]}', 0),
        ('{"folders": ["."]}', 1),
    ],
)
def test_recorded_folders_that_are_none(tmp_path: Path, text: str, known: int) -> None:
    (tmp_path / "images.json").write_text(text)
    assert len(related_datasets(tmp_path, (), Faults()).folders) == known


@pytest.mark.parametrize("text", ["a: [", "- 1", "datasets: 3", "datasets: {a: 3, b: {}}", "\x00"])
def test_a_file_that_names_no_datasets_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mix.yaml").write_text(text)
    with pytest.raises(DataError, match=r"mix\.yaml(: cannot be read| does not name any datasets)"):
        Output.open(tmp_path / "mix.yaml")


def test_a_mixture_reads_no_other_folder(curated: Curated, tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text(f"datasets: {{pairs: {{path: {curated[0]}}}}}\n")
    output = Output.open(tmp_path / "mix.yaml")
    inside = next((curated[0] / "ledger").glob("*.parquet"))  # next to the shards, not among them
    with pytest.raises(duckdb.PermissionException, match="disabled by configuration"):
        output.database.cursor().execute(f"SELECT * FROM '{inside}'")


def test_a_picture_that_was_taken_down_is_not_shown_from_its_source(curated: Curated, tmp_path: Path) -> None:
    out = Path(shutil.copytree(curated[0], tmp_path / "out"))
    output = Output.open(out, UserInputs(recipe=curated[1]))
    key = keys(output.query(output.database.cursor(), "rows", ["verdict:is:keep"]), None, False, 0)[0]
    assert picture(output, output.database.cursor(), "rows", key, 0, 160)
    (tmp_path / "list.txt").write_text(f"{key}\n")
    revoke(out, read_list(tmp_path / "list.txt"), "2026-11-25")
    output = Output.open(out, UserInputs(recipe=curated[1]))
    with pytest.raises(DataError, match="taken down on 2026-11-25"):
        picture(output, output.database.cursor(), "rows", key, 0, 160)


def test_a_recipe_that_has_no_pictures_is_refused_in_a_line(curated: Curated) -> None:
    view = [
        sys.executable,
        "-c",
        "from qvl.command import main; main()",
        "view",
        str(curated[0] / "shards"),
        "--recipe",
    ]
    said = subprocess.run([*view, "examples/ocr_demo.yaml"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 2 and len(said.stderr.strip().splitlines()) == 1
    assert "this output is not a curation" in said.stderr and "only curations and grounding builds" in said.stderr


def test_an_output_on_a_store_is_copied_by_the_command_that_the_refusal_names(curated: Curated, tmp_path: Path) -> None:
    with s3_server() as port:
        store = filesystem(port)
        store.call_s3("create_bucket", Bucket="bucket")
        store.put(str(curated[0]) + "/", "bucket/runs/small/", recursive=True)
        view = [sys.executable, "-c", "from qvl.command import main; main()", "view", "s3://bucket/runs/small"]
        said = subprocess.run(view, cwd=ROOT, capture_output=True, text=True, check=False)
        assert said.returncode == 2
        copy = copy_command("s3://bucket/runs/small").partition(" && ")[0]
        assert copy in " ".join(said.stderr.split())
        done: Any = subprocess.run(
            copy.replace("python", sys.executable, 1),
            shell=True, cwd=tmp_path, env=os.environ | environment(port), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    files = {str(path.relative_to(tmp_path / "small")) for path in (tmp_path / "small").rglob("*") if path.is_file()}
    assert {"shards/dataset.json", "recipe.json"} <= files
    with served(tmp_path / "small") as base:
        assert base.startswith("http://127.0.0.1")
