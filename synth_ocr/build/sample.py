"""A page as a sample (regions as structure, turns as the paper writes them) and as a row of the ledger."""

import math
from typing import Any

import orjson
import pyarrow as pa

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.pipeline.curate.measuring.columns import CATEGORY
from qvl.pipeline.markup.coordinates import Quad
from qvl.pipeline.markup.turns import ocr_turns
from qvl.pipeline.shards.writer import Sample
from qvl.synth_ocr.page.geometry import Points, around, fractions, heading
from qvl.synth_ocr.page.page import Line, Outcome, Page
from qvl.synth_ocr.page.text import HAN, language_of, scripts, tokens

QUAD_TOKENS = 37  # of one record without its text (traps, B)
PROMPT_TOKENS = 12

COLUMNS: list[tuple[str, pa.DataType]] = [
    ("kind", CATEGORY),  # scene, pdf, html
    ("language", CATEGORY),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("lines", pa.int32()),
    ("characters", pa.int32()),
    ("records_cut", pa.int32()),  # lines that the sequence has no room for; they stay in regions
    ("unlabelled_ink", pa.float32()),  # share of the text ink in no line's box
    ("heights", pa.list_(pa.float32())),  # pixels, per line
    ("contrasts", pa.list_(pa.float32())),  # 0..255, per line
    ("ink_shares", pa.list_(pa.float32())),  # per line
    ("agreements", pa.list_(pa.float32())),  # IoU of promised and found ink, per line; HTML promises none
    ("angles", pa.list_(pa.float32())),  # degrees, per line
    ("lost", pa.string()),  # lines dropped by reason, JSON
    ("fonts", pa.list_(pa.string())),
    ("scripts", pa.string()),  # characters by script, JSON
    ("han", pa.string()),  # the page's Chinese characters, each once
    ("notes", pa.string()),  # what the kind adds, JSON
]


def fitting(lines: list[Line], text_tokens: int) -> int:
    """How many records of the reading order fit: always whole ones (traps, B)."""
    used = PROMPT_TOKENS
    for number, line in enumerate(lines):
        used += QUAD_TOKENS + tokens(line.text)
        if used > text_tokens:
            return number
    return len(lines)


def regions(page: Page, width: int, height: int) -> list[dict[str, Any]]:
    """Lines in reading order, then their words, then paragraphs. ``order`` counts per level, ``parent`` is an index."""
    members: dict[int, list[int]] = {}
    for number, line in enumerate(page.lines):
        members.setdefault(line.paragraph, []).append(number)
    words = [(word, number) for number, line in enumerate(page.lines) for word in line.words]
    first = len(page.lines) + len(words)
    place = {paragraph: first + i for i, paragraph in enumerate(members)}
    layouts = fractions([line.layout for line in page.lines], width, height)
    found = _level("line", [(line.text, line.quad) for line in page.lines], width, height)
    for region, line, layout in zip(found, page.lines, layouts, strict=True):
        region |= {"parent": place[line.paragraph], "layout": layout, "ink_share": round(line.ink_share, 3)}
        region |= {"contrast": round(line.contrast, 1), "pixel_height": round(line.pixel_height, 1)}
    small = _level("word", [(word.text, word.quad) for word, _ in words], width, height)
    for region, (_, parent) in zip(small, words, strict=True):
        region["parent"] = parent
    return [*found, *small, *_level("paragraph", [_joint(page, lines) for lines in members.values()], width, height)]


def _level(level: str, texts: list[tuple[str, Points]], width: int, height: int) -> list[dict[str, Any]]:
    quads = fractions([quad for _, quad in texts], width, height)
    return [
        {"phrase": text, "image": 0, "quad": quad, "level": level, "order": order}
        for order, ((text, _), quad) in enumerate(zip(texts, quads, strict=True))
    ]


def _joint(page: Page, lines: list[int]) -> tuple[str, Points]:
    """Lines as one paragraph."""
    quads = [page.lines[i].quad for i in lines]
    return "\n".join(page.lines[i].text for i in lines), around(quads, heading(quads[0]))


def made(outcome: Outcome, unit: BuildUnit, kind: str, row: int, text_tokens: int, url: str = "") -> BuiltRow:
    """The ledger row of an outcome, with its sample where it is kept. ``text_tokens``: room for the whole OCR text."""
    page = outcome.page
    if outcome.verdict != KEEP or page is None:
        return BuiltRow(outcome.verdict, outcome.key, columns={"kind": kind})
    language = language_of(page.text)
    kept = fitting(page.lines, text_tokens)
    if kept == 0:
        return BuiltRow("no_room", outcome.key, columns={"kind": kind})
    found = regions(page, outcome.width, outcome.height)
    records: list[tuple[str, Quad]] = []
    for region in found[:kept]:
        a, b, c, d, e, f, g, h = region["quad"]
        records.append((region["phrase"], (a, b, c, d, e, f, g, h)))
    content = {
        "id": f"{unit.id}-{outcome.key}",
        "source": unit.source,
        "task": "ocr",
        "language": language,
        "turns": ocr_turns(records, language),
        "regions": found,
        "origin": {"file": unit.name, "row": row, "key": outcome.key, "url": url, "sha": ""},
    }
    sample = Sample(content, [("jpg", outcome.jpeg, outcome.width, outcome.height)])
    return BuiltRow(KEEP, outcome.key, [sample], columns(outcome, page, kind, language, len(page.lines) - kept))


def columns(outcome: Outcome, page: Page, kind: str, language: str, cut: int) -> dict[str, Any]:
    """The ledger's values of a kept page."""
    angles = [math.degrees(math.atan2(dy, dx)) for dx, dy in (heading(line.quad) for line in page.lines)]
    return {
        "kind": kind,
        "language": language,
        "width": outcome.width,
        "height": outcome.height,
        "lines": len(page.lines),
        "characters": sum(len(line.text.replace(" ", "")) for line in page.lines),
        "records_cut": cut,
        "unlabelled_ink": round(page.unlabelled_ink, 5),
        "heights": [round(line.pixel_height, 1) for line in page.lines],
        "contrasts": [round(line.contrast, 1) for line in page.lines],
        "ink_shares": [round(line.ink_share, 3) for line in page.lines],
        "agreements": [] if kind == "html" else [round(line.agreement, 4) for line in page.lines],
        "angles": [round(angle, 1) for angle in angles],
        "lost": orjson.dumps(dict(sorted(page.lost.items()))).decode(),
        "fonts": page.fonts,
        "scripts": orjson.dumps(scripts(page.text)).decode(),
        "han": "".join(sorted(set(HAN.findall(page.text)))),
        "notes": orjson.dumps(page.notes, option=orjson.OPT_SORT_KEYS).decode(),
    }
