"""Samples from our shards: all turns but the last are the prompt, the last assistant turn is the true answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.markup import parsing
from qvl.pipeline.markup.markers import has_marker, image_numbers
from qvl.pipeline.shards.reader import absent_files, open_dataset, read_index
from qvl.pipeline.shards.sample import SampleRecord, decode_sample
from qvl.pipeline.shards.writer import IndexRow
from qvl.pipeline.storage.reader import Storage
from qvl.training.data.holdout import held_out, image_hash
from qvl.training.evaluation.samples import prompts
from qvl.training.evaluation.samples.sample import EvalSample, ImageLocation, Metric

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


@dataclass(frozen=True, slots=True)
class ShardPaths:
    """A tar and its index, by path or URL."""

    tar: str
    parquet: str


def find_shards(location: str | Path) -> list[ShardPaths]:
    """The shards at a path or URL: of a run's output, of its folder of shards, or one tar.

    Raises DataError if a file is missing, or if its size is not what ``dataset.json`` says.
    """
    storage, text = Storage(), str(location)
    text = text.rstrip("/") if not storage.is_local(text) else str(Path(text.removeprefix("file://")).resolve())
    if text.endswith(".tar"):
        shard = ShardPaths(text, f"{text.removesuffix('.tar')}.parquet")
        lost = [file for file in (shard.tar, shard.parquet) if not storage.exists(file)]
        if lost:
            raise DataError(f"{lost[0]}: does not exist; a tar needs its index next to it (`qvl mix index` writes one)")
        return [shard]
    dataset = open_dataset(text)
    problems = absent_files(dataset)
    if problems:
        raise DataError(f"{problems[0]}; build the shards again, or evaluate others")
    return [ShardPaths(shard.tar, shard.index) for shard in dataset.shards]


def read_shards(
    shards: Sequence[ShardPaths], tasks: Sequence[Task], split: Split = "all", share: float = 0.01, seed: int = 0
) -> Iterator[EvalSample]:
    """The samples of these tasks on one side of the split by image, in the order of the shards.

    Raises DataError if an index does not belong to its tar.
    """
    requested = {name for name, (task, _) in SETS.items() if task in tasks}
    stored = requested | ({"vqa"} if "detection" in requested else set())
    storage = Storage()
    for shard in shards:
        rows = [row for row in read_index(shard.parquet, INDEX).to_pylist() if row["task"] in stored]
        if not rows:
            continue
        with storage.mapped(shard.tar) as data:
            for row in rows:
                record = _record(shard.tar, data, row)
                sample = _sample(shard.tar, row, record)
                if sample is None or sample.set not in requested:
                    continue
                if split == "all" or _held_out(data, row, record, share, seed) == (split == "heldout"):
                    yield sample


def _record(tar: str, data: memoryview, row: IndexRow) -> SampleRecord:
    text = bytes(data[row["json_offset"] : row["json_offset"] + row["json_size"]])
    try:
        record = decode_sample(text, tar, row["key"])
    except DataError as error:
        raise DataError(f"{error}; if the index does not match the tar, use the tar and the index of one run") from None
    if record.id != row["key"]:
        raise DataError(
            f"{tar}: its index does not match it at {row['key']}; use the tar and the index of the same run"
        )
    return record


def _sample(tar: str, row: IndexRow, record: SampleRecord) -> EvalSample | None:
    """The sample, or None if it is not a question with an answer. Raises DataError if it names a missing image."""
    turns = record.turns
    if len(turns) < 2 or turns[-1].role != "assistant":
        return None
    answer = turns[-1].text.strip()
    name = "detection" if row["task"] == "vqa" and has_marker(answer) else row["task"]
    metric = SETS[name][1]
    spans = list(zip(row["image_offsets"], row["image_sizes"], strict=True))
    context = "".join(turn.text for turn in turns[:-1])
    numbers = image_numbers(context)
    if any(number >= len(spans) for number in numbers):
        raise DataError(
            f"{tar}: {row['key']} refers to image {max(numbers)} but has only {len(spans)}; lint the data it was built from"
        )
    return EvalSample(
        id=row["key"],
        set=name,
        group=f"{row['source']} {record.language}",
        metric=metric,
        prompt=context,
        images=tuple(ImageLocation(tar, *spans[number]) for number in numbers),
        answers=(answer,),
        decoding=prompts.decoding(metric, "training"),
        boxes=tuple(box for phrase in parsing.parse(answer) for box in phrase.boxes) if metric == "box" else (),
    )


def _held_out(data: memoryview, row: IndexRow, record: SampleRecord, share: float, seed: int) -> bool:
    """Whether any image of the sample is held out. A sample without images goes by its id."""
    spans = list(zip(row["image_offsets"], row["image_sizes"], strict=True))
    if len(spans) == 1 and record.origin.sha:
        return held_out(record.origin.sha, share, seed)
    hashes = [image_hash(data[offset : offset + size]) for offset, size in spans] or [image_hash(row["key"].encode())]
    return any(held_out(sha, share, seed) for sha in hashes)
