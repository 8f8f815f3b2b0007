"""Small datasets with real images, in the tars, indexes and dataset.json that pack writes, and recipes to train on them."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from PIL import Image, ImageDraw

from qvl.pipeline.markup.markers import image_slot
from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import Turn, Turns, caption_turns, ocr_turns, referring_turns, vqa_turns
from qvl.pipeline.shards.dataset import commit_shard, finish
from qvl.pipeline.shards.order import ShardPlan
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord

COLOURS = ("red", "green", "blue", "white", "black", "orange", "purple", "grey")
LINE = (0.05, 0.05, 0.6, 0.05, 0.6, 0.4, 0.05, 0.4)


@lru_cache(maxsize=256)
def picture(number: int) -> bytes:
    """A JPEG of one colour with a number on it."""
    image = Image.new("RGB", (80, 60), COLOURS[number % len(COLOURS)])
    ImageDraw.Draw(image).text((5 + number % 40, 20), str(number), fill="yellow")
    target = io.BytesIO()
    image.save(target, "JPEG", quality=85)
    return target.getvalue()


def sample(
    key: str, task: str, turns: Turns, pictures: list[bytes], row: int = 0, regions: tuple[Region, ...] = ()
) -> Sample:
    record = SampleRecord(key, "made", task, "en", turns, Origin("made", row, key), regions=regions)
    return Sample(record, tuple(SampleImage("jpg", data, 80, 60) for data in pictures))


def of_task(task: str, number: int) -> Sample:
    """Sample ``number`` of a task."""
    colour, key = COLOURS[number % len(COLOURS)], f"{task}-{number:04d}"
    words = " ".join([colour] * (1 + number % 7))
    if task == "text":
        return sample(key, task, (Turn("text", f"{number} {words}"),), [], number)
    if task == "chat":
        asked = Turn("user", f"Picture 1: {image_slot(0)}\nWhich?")
        return sample(key, task, (asked, Turn("assistant", words)), [picture(number)], number)
    box = (0.1, 0.2, 0.1 + number % 9 / 10 + 0.05, 0.9)
    lines = [(str(number), LINE)] * (1 + number % 3)
    turns = {
        "caption": lambda: caption_turns(f"{words} {number}", "en"),
        "vqa": lambda: vqa_turns("Which colour?", words),
        "ocr": lambda: ocr_turns(lines, "en"),
        "referring": lambda: referring_turns(words, [box]),
    }[task]()
    regions = {
        "ocr": tuple(Region(text, 0, quad=quad, level="line") for text, quad in lines),
        "referring": (Region(words, 0, box=box),),
    }.get(task, ())
    return sample(key, task, turns, [picture(number)], number, regions)


def write_dataset(out: Path, name: str, samples: list[Sample], shard_rows: int = 16) -> Path:
    """Write shards, indexes and dataset.json. Returns the folder of the shards."""
    plans = [
        ShardPlan(f"{name}-{at:06d}", first, min(first + shard_rows, len(samples)), ())
        for at, first in enumerate(range(0, len(samples), shard_rows))
    ]
    for plan in plans:
        commit_shard(out, plan.name, samples[plan.first : plan.last], "made")
    finish(name, out, plans, len(samples), {"made": name})
    return out / "shards"


def stage(**changes: Any) -> dict[str, Any]:
    """A stage of a recipe that trains in seconds, with the given keys replaced."""
    settings = {
        "stage": "multitask", "steps": 6, "resolution": 56, "length": 256,
        "mix": [{"dataset": "mixed", "weight": 3}, {"dataset": "text", "weight": 1}],
        "batch": {"size": 8, "unit": "samples", "micro": 2},
        "optimizer": {"peak": 2e-3, "minimum": 1e-4, "warmup": 2},
        "engine": {"zero": 1, "precision": "float32"},
        "save": {"every": 2},
    }  # fmt: skip
    return settings | changes


def write_recipe(path: Path, start: Path, datasets: dict[str, Path], *stages: dict[str, Any], **top: Any) -> Path:
    """Write a recipe for those datasets and stages; ``top`` are further keys of it."""
    content = {
        "name": "made", "start": str(start), "datasets": {name: {"path": str(p)} for name, p in datasets.items()},
        "stages": list(stages), **top,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content))
    return path
