"""Check boxes that anybody wrote in Qwen-VL's markup: a shard of ours, or JSON / JSON lines of conversations.

JSON records are ours (``turns``) or the release's (``conversations`` of ``from``/``value``, or ``messages`` of
``role``/``content``), with images as ``<img>PATH</img>`` or under ``image``/``images``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.images.picture import Picture, picture
from qvl.pipeline.markup.parsing import tag_pairs, unclosed
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.sources.webdataset import group
from qvl.pipeline.storage.reader import Storage

PLACES_SHOWN = 3
IMAGE = re.compile(r"<img>(.*?)</img>")
TOP = 999
MEANINGS = {
    "swapped": "x1 > x2 or y1 > y2",
    "zero_area": "a side of length 0",
    "1000": "a coordinate of 1000: the grid ends at 999",
    "outside": "a coordinate below 0 or above 1000",
    "malformed": "a box without two points, a quad without four",
    "unclosed": "a tag that is not closed, or not opened",
    "exif_rotated": "the image file is stored rotated: boxes may be of either view",
    "size_mismatch": "width and height of the record are not the file's",
    "image": "the image file is missing or cannot be read",
    "unreadable": "a record that is no JSON or has no text",
}


@dataclass
class Findings:
    """What was seen, and by kind: how often and where first."""

    records: int = 0
    boxes: int = 0
    images: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, place: str, what: str = "") -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if len(self.places.setdefault(kind, [])) < PLACES_SHOWN:
            self.places[kind].append(f"{place}: {what}" if what else place)


@dataclass
class Record:
    """``pictures``: name and bytes (None where missing). ``size`` is what the record claims, in pixels."""

    place: str
    texts: list[str]
    pictures: list[tuple[str, bytes | None]]
    size: tuple[int, int] | None = None


def lint_file(path: Path, images: Path | None = None) -> dict[str, Any]:
    """Counts, and ``findings`` by kind with their first places. Image paths start from ``images`` or the file's folder."""
    if not path.is_file():
        raise RecipeError(f"{path}: no such file")
    found = Findings()
    for record in _records(path, images or path.parent, found):
        found.records += 1
        for text in record.texts:
            check_text(text, record.place, found)
        for name, data in record.pictures:
            check_image(name, data, record, found)
    kinds = {kind: {"count": found.counts[kind], "first": found.places[kind]} for kind in sorted(found.counts)}
    return {"records": found.records, "boxes": found.boxes, "images": found.images, "findings": kinds}


def check_text(text: str, place: str, found: Findings) -> None:
    """Tags and numbers of one text."""
    for kind in unclosed(text):
        found.add("unclosed", place, f"<{kind}>")
    for mark in tag_pairs(text):
        if mark.kind == "ref":
            continue
        found.boxes += 1
        written = text[mark.start : mark.end]
        for kind in numbers_faults(mark.kind, mark.numbers):
            found.add(kind, place, written)


def numbers_faults(kind: str, numbers: tuple[float, ...]) -> list[str]:
    """What is wrong with the numbers of one tag, as written."""
    size = 4 if kind == "box" else 8
    if not numbers or len(numbers) % size:
        return ["malformed"]
    faults = []
    if any(value < 0 or value > TOP + 1 for value in numbers):
        faults.append("outside")
    if TOP + 1 in numbers:
        faults.append("1000")
    for i in range(0, len(numbers), size):
        xs, ys = numbers[i : i + size : 2], numbers[i + 1 : i + size : 2]
        if max(xs) == min(xs) or max(ys) == min(ys):
            faults.append("zero_area")
        elif kind == "box" and (xs[0] > xs[1] or ys[0] > ys[1]):
            faults.append("swapped")
    return faults


def check_image(name: str, data: bytes | None, record: Record, found: Findings) -> None:
    """The file behind a record."""
    found.images += 1
    seen = picture(data) if data is not None else "image_missing"
    if not isinstance(seen, Picture):
        found.add("image", record.place, f"{name} {seen}")
        return
    if seen.orientation != 1:
        found.add("exif_rotated", record.place, f"{name} has orientation {seen.orientation}")
    if record.size is not None and record.size != (seen.width, seen.height):
        claimed = f"{record.size[0]} x {record.size[1]}"
        found.add("size_mismatch", record.place, f"{name} is {seen.width} x {seen.height}, not {claimed}")


def _records(path: Path, images: Path, found: Findings) -> Iterator[Record]:
    if path.suffix == ".tar":
        yield from _shard(path, found)
        return
    for number, row in enumerate(_rows(path), 1):
        try:
            record = _record(orjson.loads(row) if isinstance(row, bytes) else row, f"{path.name}:{number}", images)
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError, ValueError):
            found.add("unreadable", f"{path.name}:{number}")
            continue
        yield record


def _rows(path: Path) -> Iterator[Any]:
    """Lines as bytes, or the elements of a JSON list."""
    if path.suffix in (".jsonl", ".ndjson"):
        with path.open("rb") as lines:
            yield from lines
        return
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON: {error}; JSON lines end in .jsonl") from None
    yield from content if isinstance(content, list) else [content]


def _record(row: dict[str, Any], place: str, images: Path) -> Record:
    texts = _texts(row)
    names = [name for text in texts for name in IMAGE.findall(text) if not name.strip().isdigit()]
    for key in ("image", "images"):
        value = row.get(key)
        names += [value] if isinstance(value, str) else [name for name in value or [] if isinstance(name, str)]
    pictures = [(name, _bytes(images / name)) for name in dict.fromkeys(names) if "://" not in name]
    claimed = (int(row["width"]), int(row["height"])) if row.get("width") and row.get("height") else None
    return Record(place, texts, pictures, claimed)


def _texts(row: dict[str, Any]) -> list[str]:
    if "turns" in row:
        return [turn["text"] for turn in row["turns"]]
    if "conversations" in row:
        return [turn["value"] for turn in row["conversations"]]
    return [turn["content"] for turn in row["messages"]]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _shard(path: Path, found: Findings) -> Iterator[Record]:
    with Storage().mapped(str(path)) as data:
        index = index_tar(data)
        if index.fault:
            found.add("unreadable", path.name, index.fault)
        for sample in group(index.members):
            if sample.meta is None:
                found.add("unreadable", f"{path.name}:{sample.key}", "no JSON")
                continue
            row = orjson.loads(data[sample.meta.offset : sample.meta.offset + sample.meta.size])
            image = sample.image
            pictures = [(image.name, bytes(data[image.offset : image.offset + image.size]))] if image else []
            yield Record(f"{path.name}:{sample.key}", _texts(row), list(pictures))


def print_findings(path: Path, found: dict[str, Any]) -> None:
    """A table of what is wrong, or a line that nothing is."""
    console = Console()
    seen = f"{found['records']:,} records, {found['boxes']:,} boxes, {found['images']:,} images"
    if not found["findings"]:
        console.print(f"{path}: {seen}: nothing wrong", highlight=False)
        return
    table = Table(title=f"{path}: {seen}", title_justify="left")
    for head in ("what", "count", "meaning", "first"):
        table.add_column(head, justify="right" if head == "count" else "left", overflow="fold")
    for kind, finding in found["findings"].items():
        table.add_row(kind, f"{finding['count']:,}", MEANINGS.get(kind, ""), "\n".join(finding["first"]))
    console.print(table)
