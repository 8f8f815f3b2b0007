"""A small model memorises samples through the whole trainer and reproduces them in the evaluation."""

import json
from pathlib import Path

import pytest

from qvl.pipeline.shards.reader import Selection, open_dataset, read_index
from qvl.pipeline.shards.sample import Sample, SampleImage, decode_sample
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.loop.logs import read_journal
from qvl.training.loop.records import StepLine
from tests.training.conftest import ROOT, Command
from tests.training.made import of_task, stage, write_dataset, write_recipe

DEMOS = {"caption": "curate", "ocr": "ocr", "text": "text", "chat": "text"}
COLUMNS = ["json_offset", "json_size", "image_offsets", "image_sizes", "widths", "heights", "extensions"]


def test_model_when_trained_on_a_few_samples_of_four_tasks_reproduces_them(
    start: Path, tmp_path: Path, qvl: Command
) -> None:
    tasks = ("caption", "vqa", "ocr", "referring")
    samples = [of_task(task, number) for task in tasks for number in range(3)]
    data = write_dataset(tmp_path / "d", "d", samples)
    recipe = write_recipe(
        tmp_path / "r.yaml", start, {"d": data},
        stage(mix=[{"dataset": "d", "weight": 1}], steps=260, batch={"size": 12, "micro": 12}, save={"every": 500},
              optimizer={"peak": 4e-3, "minimum": 2e-4, "warmup": 20}),
    )  # fmt: skip
    run = tmp_path / "run"
    done = qvl("train", "run", str(recipe), "-o", str(run), "--loader-workers", "0")
    assert done.returncode == 0, done.stderr
    assert read_journal(run / "multitask" / "log.jsonl", StepLine)[-1].loss < 0.1
    scored = qvl(
        "eval",
        "run",
        str(run / "multitask" / "model"),
        "--data",
        str(data),
        "-o",
        str(tmp_path / "e"),
        "--json",
        "--max-new",
        "200",
    )
    assert scored.returncode == 0, scored.stderr
    sets = json.loads(scored.stdout)["sets"]
    assert sets["vqa"]["score"] == sets["referring"]["score"] == 100
    assert sets["ocr"]["cer"] < 0.1


def demo_samples(folder: Path, task: str, count: int) -> list[Sample]:
    """The first samples of a task in a built dataset, with their pictures."""
    found: list[Sample] = []
    reader = ShardBytes()
    for shard in open_dataset(str(folder)).shards:
        index = read_index(shard.index, [*COLUMNS, "key", "task", "language", "source"])
        for row in index.take(Selection((task,)).ranks(index)).to_pylist()[: count - len(found)]:
            record = decode_sample(reader.read(shard.tar, row["json_offset"], row["json_size"]), shard.tar, row["key"])
            spans = zip(
                row["extensions"], row["image_offsets"], row["image_sizes"], row["widths"], row["heights"], strict=True
            )
            images = tuple(SampleImage(kind, reader.read(shard.tar, at, size), w, h) for kind, at, size, w, h in spans)
            found.append(Sample(record, images))
    return found


@pytest.mark.long
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("task", ["caption", "vqa", "grounded_caption", "referring", "region_caption", "text", "chat"])
def test_model_when_trained_on_64_real_samples_of_a_task_memorises_them(
    task: str, tmp_path: Path, qvl: Command
) -> None:
    part = DEMOS.get(task, "ground")
    built = qvl("demo", "--only", part, "--output", str(tmp_path / "demo"))
    assert built.returncode == 0, built.stderr
    folder = tmp_path / ("demo" if part == "curate" else f"demo_{part}")
    data = write_dataset(tmp_path / "d", "d", demo_samples(folder, task, 64), shard_rows=64)
    recipe = write_recipe(
        tmp_path / "r.yaml", Path("nano"), {"d": data},
        stage(mix=[{"dataset": "d", "weight": 1}], steps=400, batch={"size": 16, "micro": 16}, length=512, resolution=112,
              optimizer={"peak": 3e-3, "minimum": 1e-4, "warmup": 20}, save={"every": 1000}),
        tokenizer=str(ROOT / "examples" / "tokenizer.json"),
    )  # fmt: skip
    done = qvl("train", "run", str(recipe), "-o", str(tmp_path / "run"), "--loader-workers", "0")
    assert done.returncode == 0, done.stderr
    assert read_journal(tmp_path / "run" / "multitask" / "log.jsonl", StepLine)[-1].loss < 0.3
