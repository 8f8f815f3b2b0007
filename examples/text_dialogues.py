"""Dialogues by template, from real labels, records, boxes and verses: what one says is true, how it says it is ours."""

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.dialects import grounded

Record = dict[str, Any]


@dataclass(frozen=True)
class Emoji:
    """A picture (path below `examples`) with its label and tags in both languages."""

    path: str
    english: str
    chinese: str
    english_tags: tuple[str, ...]
    chinese_tags: tuple[str, ...]


def told(*turns: str) -> list[Record]:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]


def shown(*paths: str) -> str:
    """Pictures as Qwen-VL's own files write them."""
    return "".join(f"Picture {i}: <img>{path}</img>\n" for i, path in enumerate(paths, 1))


def one_picture(emoji: list[Emoji], rng: random.Random) -> list[Record]:
    """What it is; where there are tags, what goes with it."""
    rows = []
    for each in emoji:
        asked = rng.choice(("What is this?", "What does the picture show?", "Name what you see."))
        turns = [shown(each.path) + asked, sentence(each.english)]
        if len(each.english_tags) >= 3:
            turns += ["Which words go with it?", f"{', '.join(each.english_tags[:4])}."]
        rows.append({"messages": told(*turns)})
        asked = rng.choice(("这是什么？", "图片里有什么？", "请说出你看到的东西。"))
        turns = [shown(each.path) + asked, f"{each.chinese}。"]
        if len(each.chinese_tags) >= 3:
            turns += ["它让人想到什么？", f"{'、'.join(each.chinese_tags[:4])}。"]
        rows.append({"messages": told(*turns)})
    return rows


def two_pictures(emoji: list[Emoji], rng: random.Random) -> list[Record]:
    """Which of two pictures shows a thing."""
    rows = []
    for one, other in zip(emoji[::2], emoji[1::2], strict=False):
        for english in (True, False):
            right = rng.randrange(2)
            wanted = (one, other)[right]
            if english:
                turns = (f"Which picture shows this: {wanted.english}?", f"Picture {right + 1}.")
            else:
                turns = (f"哪张图片里是{wanted.chinese}？", f"第{'一二'[right]}张。")
            rows.append({"messages": told(shown(one.path, other.path) + turns[0], turns[1])})
    return rows


def translations(emoji: list[Emoji]) -> list[Record]:
    """Both ways, without a picture."""
    rows = [
        {"messages": told(f'How do you say "{each.english}" in Chinese?', f"{each.chinese}。")} for each in emoji[::2]
    ]
    return rows + [
        {"messages": told(f"“{each.chinese}”用英语怎么说？", sentence(each.english))} for each in emoji[1::2]
    ]


def museum(metadata: Path, folder: str) -> list[Record]:
    """Title, artist and year of a painting, as LLaVA writes its files."""
    rows = []
    for line in metadata.read_text("utf-8").splitlines():
        record = json.loads(line)
        found = re.fullmatch(
            r"(?P<title>[^,(|]+), (?P<artist>[A-Z][^,(|]+), (?P<year>(?:ca\. )?\d{4}s?)", record["caption"]
        )
        if found is None or "planted" in record["file_name"] or "NASA" in found["artist"]:
            continue
        photo = "nasa" in record["file_name"]
        turns = [
            ("human", "<image>\nWhat is this picture called?"),
            ("gpt", f"{found['title']}."),
            ("human", "Who took it?" if photo else "Who made it?"),
            ("gpt", f"{found['artist']}, {found['year']}."),
        ]
        conversation = [{"from": role, "value": text} for role, text in turns]
        rows.append({"image": f"{folder}/{record['file_name']}", "conversations": conversation})
    return rows


def places(refs: list[Record], instances: Record, folder: str) -> list[Record]:
    """Where a thing is, with its box; only the train split, so that no evaluation image is asked about."""
    images = {image["id"]: image for image in instances["images"]}
    boxes = {annotation["id"]: annotation["bbox"] for annotation in instances["annotations"]}
    rows, asked = [], set[str]()
    for ref in refs:
        for said in ref["sentences"]:
            text, image = said["sent"], images[ref["image_id"]]
            if ref["split"] != "train" or f"{ref['image_id']} {text}" in asked:
                continue
            asked.add(f"{ref['image_id']} {text}")
            chinese = re.search(r"[一-鿿]", text) is not None
            question = f"{text}在哪里？" if chinese else f"Where is this: {text}?"
            answer = grounded(text, [fractions(boxes[ref["ann_id"]], image)])
            path = f"{folder}/{image['file_name']}"
            rows.append({"messages": told(shown(path) + question, answer)})
    return rows


def fractions(bbox: list[float], image: Record) -> Box:
    """x, y, width, height in pixels to corners as fractions."""
    x, y, w, h = bbox
    return x / image["width"], y / image["height"], (x + w) / image["width"], (y + h) / image["height"]


def verses(poems: list[Record]) -> list[Record]:
    """The line that follows, as ChatML in one string."""
    rows = []
    for poem in poems:
        lines = [line for line in poem["content"] if line.endswith("。")]
        if len(lines) < 2:
            continue
        turns = (f"《诗经》里，“{lines[0]}”的下一句是什么？", lines[1], "这首诗叫什么？", f"《{poem['title']}》。")
        marks = (f"<|im_start|>{('user', 'assistant')[i % 2]}\n{text}<|im_end|>\n" for i, text in enumerate(turns))
        rows.append({"text": "".join(marks)})
    return rows


def sentence(label: str) -> str:
    """A label with a capital and a full stop."""
    return f"{label[0].upper()}{label[1:]}."
