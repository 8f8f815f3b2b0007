"""Samples of every kind that the tests of shards write."""

import json
from typing import Any

from qvl.pipeline.shards.sample import Sample, SampleImage, SampleRecord, decode_sample
from tests.pipeline.samples import encoded, jpeg, picture


def content(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"web-0123456789ab-{number:07d}",
        "source": "web",
        "task": "caption",
        "language": "zh" if number % 2 else "en",
        "turns": [{"role": "user", "text": "<img>0</img>Describe:"}, {"role": "assistant", "text": f" 猫 {number}"}],
        "regions": [],
        "origin": {"file": "a.tar", "row": number, "key": "k", "url": "u", "sha": "00"},
        **more,
    }


def record(number: int, **more: str) -> SampleRecord:
    """The record whose JSON is ``content``."""
    return decode_sample(json.dumps(content(number, **more)).encode(), "s.tar", str(number))


def samples() -> list[Sample]:
    png = encoded(picture(30, 20), "png")
    return [
        Sample(record(0), (SampleImage("jpg", jpeg(0), 40, 30),)),
        Sample(record(1), (SampleImage("png", memoryview(png), 30, 20),)),
        Sample(record(2), (SampleImage("jpg", jpeg(2), 40, 30), SampleImage("png", png, 30, 20))),
        Sample(record(3, task="text")),
        Sample(record(4), (SampleImage("webp", b"", 1, 1),)),
        Sample(record(5), (SampleImage("jpg", b"x" * 512, 1, 1),)),
    ]
