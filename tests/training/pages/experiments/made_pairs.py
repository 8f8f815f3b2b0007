"""Samples whose picture is asked in two languages: a coloured square, where it is and what it is."""

import io
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from PIL import Image

from qvl.pipeline.markup.regions import Region
from qvl.pipeline.markup.turns import referring_turns, vqa_turns
from qvl.pipeline.shards.sample import Sample, SampleImage
from tests.training.made import sample, write_dataset

NAMES = {"en": ("red", "green", "blue"), "zh": ("红", "绿", "蓝")}
QUESTIONS = {"en": "Which colour?", "zh": "什么颜色？"}


def place(number: int) -> tuple[float, float, float, float]:
    """Sides of 0.1 to 0.5 of the picture."""
    side = 0.1 + 0.1 * (number % 5)
    x, y = (0.1 * (number * 3 % 6), 0.1 * (number * 5 % 6))
    return round(min(x, 1 - side), 2), round(min(y, 1 - side), 2), round(min(x, 1 - side) + side, 2), round(
        min(y, 1 - side) + side, 2)  # fmt: skip


@lru_cache(maxsize=256)
def square(number: int) -> bytes:
    image = Image.new("RGB", (84, 84), (200, 200, number % 256))
    x1, y1, x2, y2 = (round(84 * value) for value in place(number))
    image.paste(NAMES["en"][number % 3], (x1, y1, x2, y2))
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def pair(number: int, task: str, language: str) -> Sample:
    name, box = NAMES[language][number % 3], place(number)
    turns = {
        "referring": lambda: referring_turns(name, [box]),
        "vqa": lambda: vqa_turns(QUESTIONS[language], name, language),
    }[task]()
    made = sample(f"{task}-{language}-{number:03d}", task, turns, [square(number)], number)
    regions = (Region(name, 0, box=box),) if task == "referring" else ()
    record = replace(made.record, language=language, source=f"made_{language}", regions=regions)
    return Sample(record, (SampleImage("png", square(number), 84, 84),))


def write_pairs(out: Path, count: int) -> Path:
    samples = [
        pair(number, task, language) for number in range(count) for task in ("referring", "vqa") for language in NAMES
    ]
    return write_dataset(out, "pairs", samples, 64)
