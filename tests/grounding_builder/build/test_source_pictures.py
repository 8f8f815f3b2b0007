"""Images of input rows by unit and row: those of kept rows equal the samples' images, and dropped rows have theirs too."""

import shutil
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import xxhash
from typer.testing import CliRunner

from qvl.grounding_builder.command import app, source_pictures
from qvl.pipeline.curate.measuring.columns import split_sample_id
from qvl.pipeline.images.thumbnail import NoThumbnail
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.scan import scan_dataset
from qvl.pipeline.takedown.requests import read_list
from qvl.pipeline.takedown.revoke import revoke
from qvl.pipeline.view.output import Output, UserInputs
from qvl.pipeline.view.pictures import picture

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "examples" / "grounding_demo.yaml"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ground") / "out"
    done = CliRunner().invoke(app, ["build", str(RECIPE), "-o", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def test_pictures_of_kept_rows_equal_those_of_the_samples(out: Path) -> None:
    pictures, seen = source_pictures(RECIPE), defaultdict[str, int](int)
    for sample in scan_dataset(open_dataset(str(out))):
        unit, row = split_sample_id(sample.key.rpartition("-")[0])
        source = sample.record().source
        if seen[source] < 6:  # only a few of each source, because each call reads through its file
            found = pictures(unit, row)
            assert found is not None and xxhash.xxh3_128_hexdigest(found) == sample.record().origin.sha
        seen[source] += 1
    assert set(seen) == {"grit", "visual_genome", "refcoco", "coco", "vqav2"}


def test_pictures_of_dropped_rows_are_found(out: Path) -> None:
    output = Output.open(out, UserInputs(pictures=source_pictures(RECIPE)))
    cursor, shown = output.database.cursor(), set[str]()
    for path in sorted((out / "ledger").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            if row["verdict"] != "keep" and row["verdict"] not in shown and not row["verdict"].startswith("download"):
                assert picture(output, cursor, "rows", row["id"], 0, 160)[8:12] == b"WEBP"
                shown.add(row["verdict"])
    assert {"leak:id", "leak:bytes", "leak:perceptual", "markup", "merged", "not_train"} <= shown


def test_picture_is_not_shown_when_it_was_taken_down(out: Path, tmp_path: Path) -> None:
    taken = Path(shutil.copytree(out, tmp_path / "out"))
    sample = next(each for each in scan_dataset(open_dataset(str(taken))) if each.record().source == "refcoco")
    key = sample.key.rpartition("-")[0]
    (tmp_path / "list.txt").write_text(sample.record().origin.sha + "\n")
    revoke(taken, read_list(tmp_path / "list.txt"), "2026-11-25")
    output = Output.open(taken, UserInputs(pictures=source_pictures(RECIPE)))
    with pytest.raises(NoThumbnail, match="taken down on 2026-11-25"):
        picture(output, output.database.cursor(), "rows", key, 0, 160)


def test_pictures_are_none_when_the_unit_or_row_does_not_exist(out: Path) -> None:
    pictures = source_pictures(RECIPE)
    assert pictures("grit-00000000-000000", 0) is None
    unit = next((out / "ledger").glob("refcoco*.parquet")).stem
    assert pictures(unit, 10**6) is None


def test_pictures_raise_when_the_image_file_is_missing(out: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ROOT / "examples" / "grounding", tmp_path / "grounding"))
    shutil.copy(RECIPE, tmp_path / "recipe.yaml")
    pictures = source_pictures(tmp_path / "recipe.yaml")
    unit = next((out / "ledger").glob("refcoco*.parquet")).stem
    assert pictures(unit, 0)
    shutil.rmtree(folder / "images")
    with pytest.raises(OSError):
        pictures(unit, 0)
