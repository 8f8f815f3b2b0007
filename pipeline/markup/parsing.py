"""Reading phrases and their boxes from text that a model or a data set wrote, in any dialect.

Boxes come out as fractions of the image's width and height. ``qvl.pipeline.markup.dialects`` writes what is read here.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from qvl.pipeline.markup.coordinates import Box, Quad, Size, from_cell, from_square, kosmos_box, resized
from qvl.pipeline.markup.dialects import QWEN_VL, SCALES, TAGS, Dialect, required_size

KINDS = ("ref", "box", "quad")

POINT = re.compile(r"\(\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*\)")
KOSMOS = re.compile(r"(?:<phrase>(?P<text>.*?)</phrase>\s*)?<object>(?P<boxes>.*?)</object>", re.DOTALL)
PATCHES = re.compile(r"<patch_index_(\d{4})>\s*<patch_index_(\d{4})>")
SHIKRA = re.compile(r"(?P<text>[^\[\].,;!?]*)\[(?P<boxes>[\d.,;\s]+)\]")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase without blanks around it (may be empty), with its boxes and quads as fractions."""

    text: str
    boxes: tuple[Box, ...] = ()
    quads: tuple[Quad, ...] = ()


@dataclass(frozen=True, slots=True)
class TagPair:
    """An opening and a closing tag in a text, [start, end) in characters; ``numbers`` are as written, not scaled."""

    kind: str  # ref, box, quad
    start: int
    end: int
    inside: str
    numbers: tuple[float, ...]


def tag_pairs(text: str, dialect: Dialect = QWEN_VL) -> list[TagPair]:
    """Every closed pair of tags, in order."""
    found = []
    for kind in KINDS:
        opening, closing = getattr(TAGS[dialect], kind)
        for match in re.finditer(f"{re.escape(opening)}(.*?){re.escape(closing)}", text, re.DOTALL):
            points = POINT.findall(match[1]) if kind != "ref" else ()
            numbers = tuple(float(value) for point in points for value in point)
            found.append(TagPair(kind, match.start(), match.end(), match[1], numbers))
    return sorted(found, key=lambda pair: pair.start)


def unclosed(text: str, dialect: Dialect = QWEN_VL) -> list[str]:
    """The kinds whose opening and closing tags do not alternate."""
    wrong = []
    for kind in KINDS:
        pair = getattr(TAGS[dialect], kind)
        tags = re.findall("|".join(map(re.escape, pair)), text)
        if len(tags) % 2 or any(tag != pair[i % 2] for i, tag in enumerate(tags)):
            wrong.append(kind)
    return wrong


def parse(text: str, dialect: Dialect = QWEN_VL, size: Size | None = None) -> list[Phrase]:
    """The phrases of a text with their boxes and quads.

    Tolerates blanks, several boxes in one tag, and decimals. A phrase without boxes has an empty ``boxes``, and a box
    without a phrase an empty ``text``. Shikra has no tag before a phrase: its text begins after the last box or
    punctuation mark.
    """
    if dialect in TAGS:
        return _parse_tags(text, dialect)
    if dialect == "kosmos-2":
        return [
            Phrase((m["text"] or "").strip(), tuple(kosmos_box(int(a), int(b)) for a, b in PATCHES.findall(m["boxes"])))
            for m in KOSMOS.finditer(text)
        ]
    known_size = required_size(size, dialect)
    return _parse_shikra(text, known_size) if dialect == "shikra" else _parse_json(text, known_size)


def _parse_tags(text: str, dialect: Dialect) -> list[Phrase]:
    scale, phrases = SCALES[dialect], []
    adjacent = -1  # a box that starts here, blanks aside, belongs to the last phrase
    for pair in tag_pairs(text, dialect):
        if pair.kind == "ref":
            phrases.append(Phrase(pair.inside.strip()))
        else:
            if adjacent < 0 or text[adjacent : pair.start].strip():
                phrases.append(Phrase(""))
            last, values = phrases[-1], [from_cell(value, scale) for value in pair.numbers]
            boxes = tuple(_box(values[i : i + 4]) for i in range(0, len(values) - 3, 4)) if pair.kind == "box" else ()
            quads = tuple(_quad(values[i : i + 8]) for i in range(0, len(values) - 7, 8)) if pair.kind == "quad" else ()
            phrases[-1] = Phrase(last.text, last.boxes + boxes, last.quads + quads)
        adjacent = pair.end
    return phrases


def _parse_shikra(text: str, size: Size) -> list[Phrase]:
    """Boxes of a phrase are separated by semicolons; a group that does not have four numbers is left out."""
    phrases = []
    for match in SHIKRA.finditer(text):
        groups = [group.split(",") for group in match["boxes"].split(";")]
        boxes = (_box([float(value) for value in group]) for group in groups if len(group) == 4)
        phrases.append(Phrase(match["text"].strip(), tuple(from_square(box, size) for box in boxes)))
    return phrases


def _parse_json(text: str, size: Size) -> list[Phrase]:
    """Qwen2.5-VL: a JSON list, bare or fenced; equal labels that follow each other are one phrase."""
    start, end = text.find("["), text.rfind("]")
    try:
        records = json.loads(text[start : end + 1])
    except ValueError:
        return []
    (width, height), phrases = resized(*size), list[Phrase]()
    for record in records:
        if not isinstance(record, dict) or len(record.get("bbox_2d", ())) != 4:
            continue
        x1, y1, x2, y2 = record["bbox_2d"]
        box, label = (x1 / width, y1 / height, x2 / width, y2 / height), str(record.get("label", "")).strip()
        if phrases and phrases[-1].text == label:
            phrases[-1] = Phrase(label, (*phrases[-1].boxes, box))
        else:
            phrases.append(Phrase(label, (box,)))
    return phrases


def _box(values: Sequence[float]) -> Box:
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def _quad(values: Sequence[float]) -> Quad:
    x1, y1, x2, y2, x3, y3, x4, y4 = values
    return x1, y1, x2, y2, x3, y3, x4, y4
