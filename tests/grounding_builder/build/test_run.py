"""The demo recipe from start to finish: counts, audit, equal bytes, report, exclusion list."""

import json
from pathlib import Path
from typing import Any

import pytest
import webdataset
from typer.testing import CliRunner

from qvl.grounding_builder.command import app
from qvl.grounding_builder.lint import lint_file
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.finished.audit import audit
from qvl.pipeline.markup import parsing
from tests.grounding_builder.helpers import EXAMPLES, samples

RECIPE = EXAMPLES / "grounding_demo.yaml"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("demo")
    result = CliRunner().invoke(app, ["build", str(RECIPE), "-o", str(out), "--json"])
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout.strip().splitlines()[-1])["dataset"]


def test_run_gives_every_row_its_verdict(built: tuple[Path, dict[str, Any]]) -> None:
    out, dataset = built
    assert dataset["lineage"]["verdicts"] == {
        "coco": {"keep": 2},
        "grit": {"download:failed_to_download": 1, "keep": 66, "leak:bytes": 1, "leak:perceptual": 1},
        "refcoco": {"keep": 106, "not_train": 30},
        "visual_genome": {"box:outside": 1, "box:zero_area": 1, "keep": 37, "leak:id": 7, "markup": 1, "merged": 1},
        "vqav2": {"keep": 63, "leak:id": 6},
    }
    assert audit(out).discrepancy is None


def test_parsed_text_equals_the_stored_regions(built: tuple[Path, dict[str, Any]]) -> None:
    """Parsing the text that is trained on gives the stored regions, up to half a grid cell."""
    made = samples(built[0])
    assert len(made) == 827
    for sample in made:
        assert [turn["role"] for turn in sample["turns"]] == ["user", "assistant"]
        found = [b for turn in sample["turns"] for phrase in parsing.parse(turn["text"]) for b in phrase.boxes]
        assert len(found) == len(sample["regions"])
        for box, region in zip(found, sample["regions"], strict=True):
            assert box == pytest.approx(region["box"], abs=0.5 / 999 + 1e-9)


def test_demo_has_enough_samples_of_each_task_to_train_on(built: tuple[Path, dict[str, Any]]) -> None:
    tasks, languages = built[1]["tasks"], built[1]["languages"]
    assert set(tasks) == {"grounded_caption", "referring", "region_caption", "vqa"}
    assert min(tasks.values()) >= 64 and min(languages.values()) >= 150


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset does not close its files
def test_webdataset_reads_whole_samples(built: tuple[Path, dict[str, Any]]) -> None:
    shards = [str(path) for path in sorted((built[0] / "shards").glob("*.tar"))]
    found = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    assert len(found) == built[1]["samples"]
    for sample in found:
        content = json.loads(sample["json"])
        assert content["id"] == sample["__key__"] and len({"jpg", "png", "webp"} & set(sample)) == 1
        assert [turn["text"].count("<img>0</img>") for turn in content["turns"]] == [1, 0]
        assert all(0 <= value <= 1 for region in content["regions"] for value in region["box"])


def test_no_evaluation_image_is_in_the_shards(built: tuple[Path, dict[str, Any]]) -> None:
    listed = Exclusion.read(built[0] / "exclusion.parquet")
    assert sorted(listed.entries["id"]) == ["coco:11", "coco:12", "coco:13", "coco:14"]
    shas = {sample["origin"]["sha"] for sample in samples(built[0])}
    assert not shas & set(listed.entries["bytes"])


def test_lint_finds_nothing_in_the_shards(built: tuple[Path, dict[str, Any]]) -> None:
    for shard in sorted((built[0] / "shards").glob("*.tar")):
        assert lint_file(shard).findings == {}


def test_report_adds_up(built: tuple[Path, dict[str, Any]]) -> None:
    report = json.loads((built[0] / "report.json").read_text())
    for source, rows in report["rows"].items():
        assert sum(report["verdicts"][source].values()) == rows
    assert report["leaks"]["visual_genome"] == {"refcoco": 7} and report["leaks"]["grit"] == {"refcoco": 2}
    assert report["lost"]["grit"]["box:whole_image"] == 1
    assert report["parity"]["referring"] == {"made": 348, "paper": 8_700_000}
    made = samples(built[0])
    kept = sum(report["boxes_in"].values()) - sum(sum(lost.values()) for lost in report["lost"].values())
    assert kept == 20 + 197 + 106 + 41
    assert sum(report["areas"].values()) == sum(len(sample["regions"]) for sample in made)
    images = {sample["origin"]["sha"] for sample in made}
    assert sum(report["boxes_per_image"].values()) == len(images) == 70
    assert (
        report["boxes_per_image"]["13"] == report["boxes_per_image"]["8"] == 1
    )  # the photographs: 12 and one region, 8
    page = (built[0] / "report.html").read_text()
    assert page.count("<article") >= 30 and "Content-Security-Policy" in page and 'src="http' not in page


def test_run_gives_the_same_bytes_again(built: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["build", str(RECIPE), "-o", str(tmp_path), "--json"])
    assert json.loads(result.stdout.strip().splitlines()[-1])["dataset"]["hash"] == built[1]["hash"]


def test_exclude_command_writes_the_list(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["exclude", str(RECIPE), "-o", str(tmp_path / "list.parquet"), "--json"])
    assert json.loads(result.output) == {"id": 4, "bytes": 4, "perceptual": 4}
