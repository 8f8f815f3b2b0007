"""The markers and prompts of the training format. This module alone writes and parses them (paper, Box B.1).

Everything goes in and comes out as fractions of width and height. Dialects: ``qwen-vl`` (0..999, the default),
``qwen2-vl`` (0..1000, other tokens), ``qwen2.5-vl`` (pixels of the resized image, JSON), ``kosmos-2`` (32 x 32 location
tokens), ``shikra`` (decimals on the padded square). ``qwen2.5-vl`` and ``shikra`` depend on the image's size in pixels.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qvl.pipeline.markup.coordinates import (
    QWEN2_VL_SCALE,
    QWEN_VL_SCALE,
    Box,
    Quad,
    Size,
    box_cells,
    from_cell,
    from_square,
    kosmos_box,
    kosmos_indices,
    resized,
    to_cell,
    to_square,
)

Turns = list[dict[str, str]]
Dialect = Literal["qwen-vl", "qwen2-vl", "qwen2.5-vl", "kosmos-2", "shikra"]
QWEN_VL: Dialect = "qwen-vl"
DIALECTS: tuple[Dialect, ...] = ("qwen-vl", "qwen2-vl", "qwen2.5-vl", "kosmos-2", "shikra")
SCALES: dict[Dialect, int] = {"qwen-vl": QWEN_VL_SCALE, "qwen2-vl": QWEN2_VL_SCALE}

# RE2 and Python syntax alike
MARKERS = (
    r"</?(?:img|ref|box|quad)>|<imgpad>|<\|(?:endoftext|im_start|im_end|extra_\d+|(?:object_ref|box|quad|vision)_"
    r"(?:start|end)|(?:vision|image|video)_pad)\|>"
)
MARKER = re.compile(MARKERS)

CAPTION_PROMPTS = {"en": "Generate the caption in English:", "zh": "Generate the caption in Chinese:"}
GROUNDING_PROMPTS = {
    "en": "Generate the caption in English with grounding:",
    "zh": "Generate the caption in Chinese with grounding:",
}
REGION_PROMPTS = {"en": ("This", " is"), "zh": ("这", "是")}
ANSWER_PROMPTS = {"en": " Answer:", "zh": " 答案："}
# the paper prints the English prompts alone; the Chinese ones are ours
DETECTION_PROMPTS = {"en": "Which objects are in the image, and where?", "zh": "图中有哪些物体，在什么位置？"}
OCR_PROMPTS = {"en": "OCR with grounding:", "zh": "识别文字并给出位置："}
QUAD_BLANK = ""  # before every corner of a quad; notes on the paper differ (3 tokens more with a blank)


KINDS = ("ref", "box", "quad")


@dataclass(frozen=True)
class Tags:
    """The opening and closing marks of a dialect that writes tags."""

    ref: tuple[str, str]
    box: tuple[str, str]
    quad: tuple[str, str]


TAGS: dict[Dialect, Tags] = {
    "qwen-vl": Tags(("<ref>", "</ref>"), ("<box>", "</box>"), ("<quad>", "</quad>")),
    "qwen2-vl": Tags(
        ("<|object_ref_start|>", "<|object_ref_end|>"),
        ("<|box_start|>", "<|box_end|>"),
        ("<|quad_start|>", "<|quad_end|>"),
    ),
}


@dataclass(frozen=True)
class Phrase:
    """What a text says about a place: stripped words (may be empty), boxes and quads as fractions."""

    text: str
    boxes: tuple[Box, ...] = ()
    quads: tuple[Quad, ...] = ()


@dataclass(frozen=True)
class Mark:
    """One tag pair as it stands in a text: ``numbers`` raw as written, ``start`` in characters."""

    kind: str  # ref, box, quad
    start: int
    end: int
    inside: str
    numbers: tuple[float, ...]


def has_marker(text: str) -> bool:
    """Whether the text would turn into special tokens: such a row is dropped, or its text goes through ``escape``."""
    return MARKER.search(text) is not None


def escape(text: str) -> str:
    """The text with a blank behind the ``<`` of every marker, so that it stays text: ``<box>`` becomes ``< box>``."""
    return MARKER.sub(lambda match: f"< {match.group()[1:]}", text)


def image(number: int) -> str:
    """The place of a sample's image, counted from 0."""
    return f"<img>{number}</img>"


def pictured(number: int) -> str:
    """The same in a dialogue: pictures have names, counted from 1 over the whole conversation (paper, Box B.2)."""
    return f"Picture {number + 1}: {image(number)}\n"


def without_images(text: str) -> str:
    """The text as it would be if its images had never been there: their places go, and the names of `pictured` with them."""
    return re.sub(r"(?:Picture \d+: )?<img>\d+</img>\n?", "", text)


def image_numbers(text: str) -> list[int]:
    """Which of the sample's images stand in the text, in reading order."""
    return [int(number) for number in re.findall(r"<img>(\d+)</img>", text)]


def ref(text: str, dialect: Dialect = QWEN_VL) -> str:
    """A phrase in its marks, before its boxes. ``qwen2.5-vl`` has none: there the whole is JSON, see ``grounded``."""
    if dialect in TAGS:
        return f"{TAGS[dialect].ref[0]}{text}{TAGS[dialect].ref[1]}"
    return f"<phrase>{text}</phrase>" if dialect == "kosmos-2" else text


def box(b: Box, dialect: Dialect = QWEN_VL, size: Size | None = None) -> str:
    """A box in its marks. A side that vanishes on the grid becomes one cell; swapped corners raise ValueError."""
    tags = TAGS.get(dialect)
    if tags is not None:
        x1, y1, x2, y2 = box_cells(b, SCALES[dialect], SCALES[dialect])
        return f"{tags.box[0]}({x1},{y1}),({x2},{y2}){tags.box[1]}"
    if dialect == "kosmos-2":
        first, last = kosmos_indices(b)
        return f"<object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    if dialect == "shikra":
        return "[" + ",".join(f"{value:.3f}" for value in to_square(b, _known(size, dialect))) + "]"
    return json.dumps({"bbox_2d": list(box_cells(b, *resized(*_known(size, dialect))))})


def quad(q: Quad, dialect: Dialect = QWEN_VL) -> str:
    """Four corners in their marks. Raises ValueError for a dialect without quads."""
    if dialect not in TAGS:
        raise ValueError(f"{dialect} has no quads")
    cells = [to_cell(value, SCALES[dialect]) for value in q]
    corners = ",".join(f"{QUAD_BLANK}({x},{y})" for x, y in zip(cells[::2], cells[1::2], strict=True))
    return f"{TAGS[dialect].quad[0]}{corners}{TAGS[dialect].quad[1]}"


def grounded(text: str, boxes: Sequence[Box], dialect: Dialect = QWEN_VL, size: Size | None = None) -> str:
    """A phrase and all its boxes, as a model of the dialect writes them."""
    written = [box(b, dialect, size) for b in boxes]
    if dialect in TAGS:
        return ref(text, dialect) + "".join(written)
    if dialect == "kosmos-2":
        inner = [w.removeprefix("<object>").removesuffix("</object>") for w in written]
        return f"{ref(text, dialect)}<object>{'</delimiter_of_multi_objects/>'.join(inner)}</object>"
    if dialect == "shikra":
        return f"{text}[{';'.join(w[1:-1] for w in written)}]"
    return json.dumps([{**json.loads(w), "label": text} for w in written], ensure_ascii=False)


def _known(size: Size | None, dialect: Dialect) -> Size:
    if size is None:
        raise ValueError(f"{dialect} depends on the image's size; give size=(width, height)")
    return size


def _turns(context: str, answer: str) -> Turns:
    """Loss falls on the answer alone. The blank after a Latin context belongs to the answer, so it is learnt with it."""
    blank = " " if context[-1:].isascii() else ""
    return [{"role": "user", "text": context}, {"role": "assistant", "text": blank + answer}]


def caption_turns(caption: str, language: str) -> Turns:
    """A caption sample."""
    return _turns(image(0) + CAPTION_PROMPTS.get(language, CAPTION_PROMPTS["en"]), caption)


def grounded_caption_turns(
    caption: str, spans: Sequence[tuple[int, int, Sequence[Box]]], language: str = "en"
) -> Turns:
    """A caption whose spans (start, end in characters, boxes; disjoint, in order) are marked in place."""
    pieces, at = [], 0
    for start, end, boxes in spans:
        if not at <= start < end <= len(caption):
            raise ValueError(f"span {start}..{end} is empty, overlaps, or leaves the caption")
        pieces += [caption[at:start], grounded(caption[start:end], boxes)]
        at = end
    pieces.append(caption[at:])
    return _turns(image(0) + GROUNDING_PROMPTS.get(language, GROUNDING_PROMPTS["en"]), "".join(pieces))


def referring_turns(expression: str, boxes: Sequence[Box]) -> Turns:
    """Phrase to box: the expression is context, its boxes are learnt. No language has words of its own here."""
    answer = "".join(box(b) for b in boxes)
    return [{"role": "user", "text": image(0) + ref(expression)}, {"role": "assistant", "text": answer}]


def region_caption_turns(b: Box, description: str, language: str = "en") -> Turns:
    """Box to phrase."""
    this, verb = REGION_PROMPTS.get(language, REGION_PROMPTS["en"])
    return _turns(f"{image(0)}{grounded(this, [b])}{verb}", description)


def vqa_turns(question: str, answer: str, language: str = "en") -> Turns:
    """A question about the image."""
    return _turns(f"{image(0)} {question}{ANSWER_PROMPTS.get(language, ANSWER_PROMPTS['en'])}", answer)


def detection_turns(labels: Sequence[tuple[str, Sequence[Box]]], language: str = "en") -> Turns:
    """All objects of an image, as a question: the answer lists every label with its boxes."""
    question = DETECTION_PROMPTS.get(language, DETECTION_PROMPTS["en"])
    return vqa_turns(question, "".join(grounded(text, boxes) for text, boxes in labels), language)


def ocr_turns(records: Sequence[tuple[str, Quad]], language: str) -> Turns:
    """All texts of an image with their quads, in reading order."""
    answer = "".join(ref(text) + quad(corners) for text, corners in records)
    return _turns(image(0) + OCR_PROMPTS.get(language, OCR_PROMPTS["en"]), answer)


POINT = re.compile(r"\(\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*\)")
KOSMOS = re.compile(r"(?:<phrase>(?P<text>.*?)</phrase>\s*)?<object>(?P<boxes>.*?)</object>", re.DOTALL)
PATCHES = re.compile(r"<patch_index_(\d{4})>\s*<patch_index_(\d{4})>")
SHIKRA = re.compile(r"(?P<text>[^\[\].,;!?]*)\[(?P<boxes>[\d.,;\s]+)\]")


def marks(text: str, dialect: Dialect = QWEN_VL) -> list[Mark]:
    """Every closed tag pair in order, with its numbers as written: what lint looks at."""
    found = []
    for kind in KINDS:
        opening, closing = getattr(TAGS[dialect], kind)
        for match in re.finditer(f"{re.escape(opening)}(.*?){re.escape(closing)}", text, re.DOTALL):
            points = POINT.findall(match[1]) if kind != "ref" else ()
            numbers = tuple(float(value) for point in points for value in point)
            found.append(Mark(kind, match.start(), match.end(), match[1], numbers))
    return sorted(found, key=lambda mark: mark.start)


def unclosed(text: str, dialect: Dialect = QWEN_VL) -> list[str]:
    """Kinds whose opening and closing tags do not pair up, in order."""
    wrong = []
    for kind in KINDS:
        pair = getattr(TAGS[dialect], kind)
        steps = re.findall("|".join(map(re.escape, pair)), text)
        if len(steps) % 2 or any(step != pair[i % 2] for i, step in enumerate(steps)):
            wrong.append(kind)
    return wrong


def parse(text: str, dialect: Dialect = QWEN_VL, size: Size | None = None) -> list[Phrase]:
    """Phrases with their places. Tolerates blanks, several boxes in one tag, decimals; what has no place is left out of
    ``boxes``, a place without phrase has an empty one. Shikra has no mark before a phrase: words since the last mark."""
    if dialect in TAGS:
        return _parse_tags(text, dialect)
    if dialect == "kosmos-2":
        return [
            Phrase((m["text"] or "").strip(), tuple(kosmos_box(int(a), int(b)) for a, b in PATCHES.findall(m["boxes"])))
            for m in KOSMOS.finditer(text)
        ]
    known = _known(size, dialect)
    if dialect == "shikra":
        found = [(m["text"].strip(), [g.split(",") for g in m["boxes"].split(";")]) for m in SHIKRA.finditer(text)]
        return [Phrase(words, tuple(from_square(_box([float(v) for v in g]), known) for g in groups if len(g) == 4))
                for words, groups in found]  # fmt: skip
    return _parse_json(text, known)


def _parse_tags(text: str, dialect: Dialect) -> list[Phrase]:
    scale, phrases = SCALES[dialect], []
    at = -1  # where a place must start (but for blanks) to belong to the last phrase
    for mark in marks(text, dialect):
        if mark.kind == "ref":
            phrases.append(Phrase(mark.inside.strip()))
        else:
            if at < 0 or text[at : mark.start].strip():
                phrases.append(Phrase(""))
            last, values = phrases[-1], [from_cell(value, scale) for value in mark.numbers]
            boxes = tuple(_box(values[i : i + 4]) for i in range(0, len(values) - 3, 4)) if mark.kind == "box" else ()
            quads = tuple(_quad(values[i : i + 8]) for i in range(0, len(values) - 7, 8)) if mark.kind == "quad" else ()
            phrases[-1] = Phrase(last.text, last.boxes + boxes, last.quads + quads)
        at = mark.end
    return phrases


def _parse_json(text: str, size: Size) -> list[Phrase]:
    """Qwen2.5-VL: a JSON list, bare or fenced; equal labels that follow each other are one phrase."""
    start, end = text.find("["), text.rfind("]")
    try:
        records: list[dict[str, Any]] = json.loads(text[start : end + 1])
    except ValueError:
        return []
    (width, height), phrases = resized(*size), list[Phrase]()
    for record in records:
        if not isinstance(record, dict) or len(record.get("bbox_2d", ())) != 4:
            continue
        x1, y1, x2, y2 = record["bbox_2d"]
        place, words = (x1 / width, y1 / height, x2 / width, y2 / height), str(record.get("label", "")).strip()
        if phrases and phrases[-1].text == words:
            phrases[-1] = Phrase(words, (*phrases[-1].boxes, place))
        else:
            phrases.append(Phrase(words, (place,)))
    return phrases


def _box(values: Sequence[float]) -> Box:
    x1, y1, x2, y2 = values
    return x1, y1, x2, y2


def _quad(values: Sequence[float]) -> Quad:
    x1, y1, x2, y2, x3, y3, x4, y4 = values
    return x1, y1, x2, y2, x3, y3, x4, y4
