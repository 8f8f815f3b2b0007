"""The demo recipe from start to finish, read back with WebDataset and tokenised as in training."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import webdataset
from typer.testing import CliRunner

from qvl.command import app
from qvl.model.network.processor import expand_images
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.pipeline.finished.audit import audit

EXAMPLES = Path(__file__).parents[4] / "examples"
RECIPE = EXAMPLES / "text_demo.yaml"


def build(recipe: Path, out: Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["text", "build", str(recipe), "--output", str(out), "--json"])
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])["dataset"]
    return content


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("text")
    return out, build(RECIPE, out)


def test_planted_rows_are_dropped_for_their_reasons(built: tuple[Path, dict[str, Any]]) -> None:
    planted = [
        json.loads(line)["id"]
        for line in (EXAMPLES / "text/dialogues/planted.jsonl").read_text().splitlines()
        if '"id"' in line
    ]
    verdicts = built[1]["lineage"]["verdicts"]
    assert {reason: n for reason, n in verdicts["dialogues"].items() if reason != "keep"} == Counter(planted)
    assert all(set(counts) == {"keep"} for source, counts in verdicts.items() if source != "dialogues")
    assert audit(built[0]).discrepancy is None


def test_demo_has_enough_samples_of_each_task_and_language(built: tuple[Path, dict[str, Any]]) -> None:
    assert min(built[1]["tasks"].values()) >= 64 and set(built[1]["tasks"]) == {"text", "chat"}
    assert min(built[1]["languages"].values()) >= 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset does not close its files
def test_webdataset_reads_whole_samples(built: tuple[Path, dict[str, Any]]) -> None:
    shards = [str(path) for path in sorted((built[0] / "shards").glob("*.tar"))]
    seen = Counter[str]()
    for sample in webdataset.WebDataset(shards, shardshuffle=False, empty_check=False):
        content = json.loads(sample["json"])
        images = [name for name in sample if name.rsplit(".", 1)[-1] in ("jpg", "png", "webp")]
        roles = [turn["role"] for turn in content["turns"]]
        placed = sum(turn["text"].count("<img>") for turn in content["turns"])
        assert content["id"] == sample["__key__"] and placed == len(images)
        assert roles == (["text"] if content["task"] == "text" else ["user", "assistant"] * (len(roles) // 2))
        assert all(0 <= value <= 1 for region in content["regions"] for value in region["box"])
        seen[content["task"]] += 1
    assert seen == built[1]["tasks"]


def test_image_slots_expand_to_whole_spans_for_the_model(built: tuple[Path, dict[str, Any]]) -> None:
    for path in sorted((built[0] / "shards").glob("*.tar")):
        data = path.read_bytes()
        for row in pq.read_table(path.with_suffix(".parquet")).to_pylist():
            content = json.loads(data[row["json_offset"] : row["json_offset"] + row["json_size"]])
            spans = [expand_images(turn["text"], 256)[1] for turn in content["turns"]]
            assert sum(spans) == len(row["image_sizes"])
            assert all(turn["role"] == "user" for turn, n in zip(content["turns"], spans, strict=True) if n)


def test_build_gives_the_same_bytes_again_and_a_page(built: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    assert build(RECIPE, tmp_path)["hash"] == built[1]["hash"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<article") >= 30 and 'src="http' not in page


def test_dialogue_is_dropped_when_its_image_is_excluded(tmp_path: Path) -> None:
    listed = Exclusion()
    listed.add_image("coco", (EXAMPLES / "grounding/images/COCO_train2014_000000000001.jpg").read_bytes())
    listed.write(tmp_path / "list.parquet")
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"name: x\nexclusion: list.parquet\nsources: [{{name: p, kind: chat, places: keep, image_folder: {EXAMPLES}, "
        f"paths: [{EXAMPLES}/text/dialogues/places.jsonl]}}]"
    )
    verdicts = build(recipe, tmp_path / "out")["lineage"]["verdicts"]["p"]
    assert verdicts["leak:bytes"] >= 10 and verdicts["keep"] >= 50
