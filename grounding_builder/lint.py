"""Check boxes in Qwen-VL's markup, in one of our shards or in JSON or JSON lines of conversations from any origin, and
those of COCO-style detection files.

A JSON record has our ``turns``, ``conversations`` of ``from``/``value`` or ``messages`` of ``role``/``content``. Its images
are written as ``<img>PATH</img>`` or listed under ``image`` or ``images``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from qvl.grounding_builder.sources.detection import Detection, load_detection
from qvl.grounding_builder.sources.records import Record
from qvl.pipeline.base.errors import DataError, RecipeError
from qvl.pipeline.base.screen import Screen
from qvl.pipeline.images.picture import Picture, picture
from qvl.pipeline.markup.parsing import tag_pairs, unclosed
from qvl.pipeline.sources.delimited import BOM
from qvl.pipeline.sources.json_tables import parse_writable
from qvl.pipeline.sources.tar_index import index_tar
from qvl.pipeline.sources.tar_members import group
from qvl.pipeline.storage.reader import Storage

LOCATIONS_SHOWN = 3
IMAGE = re.compile(r"<img>(.*?)</img>")
TOP = 999
USUAL = ("crowd", "too_many_boxes", "no_regions")  # dropped by a build, but not mistakes of a detection file
MEANINGS = {
    "swapped": "x1 > x2 or y1 > y2",
    "zero_area": "a side of length 0",
    "1000": "a coordinate of 1000: the grid ends at 999",
    "outside": "a coordinate below 0 or above 1000",
    "malformed": "a box that does not have two points, or a quad that does not have four",
    "unclosed": "a tag that is not closed or not opened",
    "exif_rotated": "the image file is stored rotated: boxes may refer to either view",
    "size_mismatch": "width and height in the record differ from those of the file",
    "image": "the image file is missing or cannot be read",
    "unreadable": "a record that is not JSON or has no text",
    "box_reading": "the numbers of the boxes fit their images better if they are read in another way",
    "box:outside": "a box outside of its image",
    "box:contradicts_size": "a box of which less than half is inside its image",
    "box:swapped": "x1 > x2 or y1 > y2",
    "box:zero_area": "a side of length 0",
    "box:too_small": "a side of less than a pixel",
    "box:missing": "an annotation without a box",
    "box:malformed": "a box that does not have four numbers",
    "box:not_a_number": "NaN or infinity",
    "no_category": "an annotation whose category has no name",
    "no_image_data": "annotations of an image that the file does not list",
}


@dataclass(slots=True)
class Finding:
    """One kind of fault: how often it occurs, and its first locations."""

    count: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LintReport:
    """What was checked, and what is wrong, by kind in alphabetical order."""

    records: int = 0
    boxes: int = 0
    images: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)

    def add(self, kind: str, location: str, detail: str = "") -> None:
        finding = self.findings.setdefault(kind, Finding())
        finding.count += 1
        if len(finding.first) < LOCATIONS_SHOWN:
            finding.first.append(f"{location}: {detail}" if detail else location)


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image of a record; ``data`` is None if its file is missing."""

    name: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class LintRecord:
    """A record to check. ``size`` is the width and height in pixels that it states, if it does."""

    location: str
    texts: list[str]
    images: list[NamedImage]
    size: tuple[int, int] | None = None


def lint_file(path: Path, images: Path | None = None) -> LintReport:
    """Check a file. Image paths are relative to ``images`` or to the file's folder. Raises RecipeError and DataError."""
    if not path.is_file():
        raise RecipeError(f"{path}: no such file")
    report = LintReport()
    if path.suffix == ".json" and _is_detection(path):
        _lint_detection(path, report)
        return report
    for record in _records(path, images or path.parent, report):
        report.records += 1
        for text in record.texts:
            check_text(text, record.location, report)
        for image in record.images:
            check_image(image, record, report)
    report.findings = dict(sorted(report.findings.items()))
    return report


def _is_detection(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4_096).removeprefix(BOM).lstrip()
    return start.startswith(b"{") and any(f'"{key}"'.encode() in start for key in ("images", "annotations", "info"))


def _lint_detection(path: Path, report: LintReport) -> None:
    """Read a COCO-style file as a build does, without its images: every faulty box is a finding, by its reason."""
    source = Detection(name="lint", annotations=str(path), image_folder="", box_test=False)
    storage = Storage()
    for piece in source.pieces(storage):
        content = load_detection(piece.path, storage)
        contradiction = source.reading_test(content).contradiction()
        if contradiction is not None:
            report.add("box_reading", path.name, contradiction)
        for draft in source.rows_of(content, storage):
            report.records += 1
            report.boxes += draft.regions
            reasons: list[str | None] = [*draft.lost] or [draft.verdict]
            for reason in reasons:
                if reason is not None and reason not in USUAL:
                    report.add(reason, f"{path.name}: image {draft.key}")
    report.findings = dict(sorted(report.findings.items()))


def check_text(text: str, location: str, report: LintReport) -> None:
    """Check the tags and numbers of one text."""
    for kind in unclosed(text):
        report.add("unclosed", location, f"<{kind}>")
    for pair in tag_pairs(text):
        if pair.kind == "ref":
            continue
        report.boxes += 1
        for fault in coordinate_faults(pair.kind, pair.numbers):
            report.add(fault, location, text[pair.start : pair.end])


def coordinate_faults(kind: str, numbers: tuple[float, ...]) -> list[str]:
    """What is wrong with the coordinates of one box or quad tag, as they are written."""
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


def check_image(image: NamedImage, record: LintRecord, report: LintReport) -> None:
    """Check an image file of a record."""
    report.images += 1
    found = picture(image.data) if image.data is not None else "image_missing"
    if not isinstance(found, Picture):
        report.add("image", record.location, f"{image.name} {found}")
        return
    if found.orientation != 1:
        report.add("exif_rotated", record.location, f"{image.name} has orientation {found.orientation}")
    if record.size is not None and record.size != (found.width, found.height):
        stated = f"{record.size[0]} x {record.size[1]}"
        report.add("size_mismatch", record.location, f"{image.name} is {found.width} x {found.height}, not {stated}")


def _records(path: Path, images: Path, report: LintReport) -> Iterator[LintRecord]:
    """All records of a file; unreadable ones are added to the report."""
    if path.suffix == ".tar":
        yield from _shard(path, report)
        return
    for number, row in enumerate(_rows(path), 1):
        location = f"{path.name}:{number}"
        try:
            record = _record(orjson.loads(row) if isinstance(row, bytes) else row, location, images)
        except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError, ValueError):
            report.add("unreadable", location)
            continue
        yield record


def _rows(path: Path) -> Iterator[Any]:
    """The lines of a file as bytes, or the elements of a JSON list."""
    if path.suffix in (".jsonl", ".ndjson"):
        with path.open("rb") as lines:
            yield from lines
        return
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON: {error}; a file of JSON lines must be named .jsonl") from None
    yield from content if isinstance(content, list) else [content]


def _record(row: Record, location: str, folder: Path) -> LintRecord:
    texts = _texts(row)
    names = [name for text in texts for name in IMAGE.findall(text) if not name.strip().isdigit()]
    for key in ("image", "images"):
        value = row.get(key)
        names += [value] if isinstance(value, str) else [name for name in value or [] if isinstance(name, str)]
    images = [NamedImage(name, _bytes(folder / name)) for name in dict.fromkeys(names) if "://" not in name]
    size = (int(row["width"]), int(row["height"])) if row.get("width") and row.get("height") else None
    return LintRecord(location, texts, images, size)


def _texts(row: Record) -> list[str]:
    if "turns" in row:
        return [turn["text"] for turn in row["turns"]]
    if "conversations" in row:
        return [turn["value"] for turn in row["conversations"]]
    return [turn["content"] for turn in row["messages"]]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _shard(path: Path, report: LintReport) -> Iterator[LintRecord]:
    with Storage().mapped(str(path)) as data:
        index = index_tar(data)
        if index.fault:
            report.add("unreadable", path.name, index.fault)
        for sample in group(index.members).samples:
            location = f"{path.name}:{sample.key}"
            if sample.meta is None:
                report.add("unreadable", location, "no JSON")
                continue
            try:
                texts = _texts(parse_writable(data[sample.meta.offset : sample.meta.offset + sample.meta.size]))
            except (TypeError, KeyError, AttributeError, ValueError):
                report.add("unreadable", location)
                continue
            image = sample.image
            images = [NamedImage(image.name, bytes(data[image.offset : image.offset + image.size]))] if image else []
            yield LintRecord(location, texts, images)


def print_report(path: Path, report: LintReport) -> None:
    """Print a table of what is wrong, or one line if nothing is."""
    console = Screen()
    checked = f"{report.records:,} records, {report.boxes:,} boxes, {report.images:,} images"
    if not report.findings:
        console.print(f"{path}: {checked}: nothing wrong")
        return
    table = Table(title=f"{path}: {checked}", title_justify="left")
    for head in ("what", "count", "meaning", "first"):
        table.add_column(head, justify="right" if head == "count" else "left", overflow="fold")
    for kind, finding in report.findings.items():
        table.add_row(kind, f"{finding.count:,}", MEANINGS.get(kind, ""), "\n".join(finding.first))
    console.print(table)
