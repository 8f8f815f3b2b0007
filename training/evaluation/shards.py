"""Samples out of our shards: the user's turns are the prompt, the last assistant turn is the truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson
import pyarrow.parquet as pq

from pipeline import markup
from pipeline.commit import read_manifest
from pipeline.errors import DataError, RecipeError
from pipeline.storage import Storage
from training.evaluation import prompts
from training.evaluation.holdout import held_out, image_hash
from training.evaluation.sample import ImageAt, Metric, Sample

Task = Literal["caption", "vqa", "grounding", "ocr"]
TASKS: tuple[Task, ...] = ("caption", "vqa", "grounding", "ocr")
SETS: dict[str, tuple[Task, Metric]] = {
    "caption": ("caption", "cider"),
    "region_caption": ("caption", "cider"),
    "vqa": ("vqa", "vqa_score"),
    "referring": ("grounding", "box"),
    "grounded_caption": ("grounding", "grounded"),
    "detection": ("grounding", "grounded"),  # a vqa sample whose answer has boxes
    "ocr": ("ocr", "ocr"),
}
INDEX = ["key", "image_offsets", "image_sizes", "json_offset", "json_size", "source", "task"]
Split = Literal["all", "heldout", "train"]


def find_shards(path: Path) -> list[Path]:
    """The tars of a run's output, of its folder of shards, or the one tar. Raises RecipeError where there are none.

    Where ``dataset.json`` is, it says which tars belong; a tar without its index is an error.
    """
    folder = path / "shards" if (path / "shards").is_dir() else path
    dataset = read_manifest(folder / "dataset.json") if folder.is_dir() else None
    if dataset is not None:
        tars = [folder / f"{shard['shard']}.tar" for shard in dataset["shards"]]
    else:
        tars = sorted(folder.glob("*.tar")) if folder.is_dir() else [path]
    lost = [file for tar in tars for file in (tar, tar.with_suffix(".parquet")) if not file.is_file()]
    if lost or not tars:
        raise RecipeError(f"{lost[0] if lost else path}: not there; give a folder of shards (tars with their indexes)")
    return tars


def read_shards(
    tars: Sequence[Path], tasks: Sequence[Task], split: Split = "all", share: float = 0.01, seed: int = 0
) -> Iterator[Sample]:
    """Samples of these tasks in the order of the shards, on one side of the split by image.

    Raises DataError where an index does not fit its tar.
    """
    wanted = {name for name, (task, _) in SETS.items() if task in tasks}
    storage = Storage()
    for tar in tars:
        with storage.mapped(str(tar)) as data:
            for row in pq.read_table(tar.with_suffix(".parquet"), columns=INDEX).to_pylist():
                if row["task"] not in wanted and not (row["task"] == "vqa" and "detection" in wanted):
                    continue
                content = _content(tar, data, row)
                sample = _sample(str(tar), row, content)
                if sample is None or sample.set not in wanted:
                    continue
                if split == "all" or _held_out(data, row, content, share, seed) == (split == "heldout"):
                    yield sample


def _content(tar: Path, data: memoryview, row: dict[str, Any]) -> dict[str, Any]:
    text = data[row["json_offset"] : row["json_offset"] + row["json_size"]]
    try:
        content: dict[str, Any] = orjson.loads(text)
    except orjson.JSONDecodeError:
        content = {}
    if content.get("id") != row["key"]:
        raise DataError(f"{tar}: its index does not fit it at {row['key']}; take tar and index of one run")
    return content


def _sample(tar: str, row: dict[str, Any], content: dict[str, Any]) -> Sample | None:
    """None where there is no question and answer."""
    turns = content["turns"]
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        return None
    answer = turns[-1]["text"].strip()
    name = "detection" if row["task"] == "vqa" and markup.has_marker(answer) else row["task"]
    metric = SETS[name][1]
    spans = list(zip(row["image_offsets"], row["image_sizes"], strict=True))
    context = "".join(turn["text"] for turn in turns[:-1])
    return Sample(
        id=row["key"],
        set=name,
        group=f"{row['source']} {content['language']}",
        metric=metric,
        prompt=context,
        images=tuple(ImageAt(tar, *spans[number]) for number in _places(context, len(spans))),
        answers=(answer,),
        decoding=prompts.decoding(metric, "training"),
        boxes=tuple(box for phrase in markup.parse(answer) for box in phrase.boxes) if metric == "box" else (),
    )


def _places(context: str, images: int) -> list[int]:
    """Which image stands where, in reading order."""
    found = []
    for number in range(images):
        place, at = markup.image(number), -1
        while (at := context.find(place, at + 1)) >= 0:
            found.append((at, number))
    return [number for _, number in sorted(found)]


def _held_out(data: memoryview, row: dict[str, Any], content: dict[str, Any], share: float, seed: int) -> bool:
    """Whether any image of the sample is held out; a sample without image goes by its id."""
    spans = list(zip(row["image_offsets"], row["image_sizes"], strict=True))
    known = content["origin"].get("sha")
    if len(spans) == 1 and known:
        return held_out(known, share, seed)
    hashes = [image_hash(data[offset : offset + size]) for offset, size in spans] or [image_hash(row["key"].encode())]
    return any(held_out(sha, share, seed) for sha in hashes)
