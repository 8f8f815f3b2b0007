"""A page as a sample (regions as structure, turns as the paper writes them) and as a row of the ledger."""

import math

import orjson
import pyarrow as pa

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.builders.builder import BuildUnit, BuiltRow
from qvl.pipeline.curate.measuring.columns import CATEGORY
from qvl.pipeline.markup.turns import ocr_turns
from qvl.pipeline.shards.sample import Origin, Sample, SampleImage, SampleRecord
from qvl.synth_ocr.build.regions import page_regions
from qvl.synth_ocr.page.geometry import heading
from qvl.synth_ocr.page.notes import notes_json
from qvl.synth_ocr.page.page import Line, Outcome, Page
from qvl.synth_ocr.page.text import HAN, language_of, scripts, token_estimate

QUAD_TOKENS = 37  # of one record without its text (traps, B)
PROMPT_TOKENS = 12

COLUMNS: list[tuple[str, pa.DataType]] = [
    ("kind", CATEGORY),  # scene, pdf, html
    ("language", CATEGORY),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("lines", pa.int32()),
    ("characters", pa.int32()),
    ("records_cut", pa.int32()),  # lines that do not fit into the sequence; regions contain them
    ("unlabelled_ink", pa.float32()),  # share of the text ink in no line's box
    ("heights", pa.list_(pa.float32())),  # pixels, per line
    ("contrasts", pa.list_(pa.float32())),  # 0..255, per line
    ("ink_shares", pa.list_(pa.float32())),  # per line
    ("agreements", pa.list_(pa.float32())),  # IoU of expected and found ink, per line; HTML expects none
    ("angles", pa.list_(pa.float32())),  # degrees, per line
    ("lost", pa.string()),  # dropped words and lines by reason, JSON
    ("fonts", pa.list_(pa.string())),
    ("scripts", pa.string()),  # characters by script, JSON
    ("han", pa.string()),  # the page's different Chinese characters
    ("notes", pa.string()),  # how the page was made (qvl.synth_ocr.page.notes), JSON
]


def fitting_lines(lines: list[Line], text_tokens: int) -> int:
    """How many records of the reading order fit into the sequence; only whole ones count (traps, B)."""
    used = PROMPT_TOKENS
    for number, line in enumerate(lines):
        used += QUAD_TOKENS + token_estimate(line.text)
        if used > text_tokens:
            return number
    return len(lines)


def built_row(outcome: Outcome, unit: BuildUnit, kind: str, row: int, text_tokens: int, url: str = "") -> BuiltRow:
    """The ledger row of an outcome, and its sample if it is kept. ``text_tokens``: room for all of the OCR text."""
    page = outcome.page
    if outcome.verdict != KEEP or page is None:
        return BuiltRow(outcome.verdict, outcome.key, columns={"kind": kind})
    language = language_of(page.text)
    kept = fitting_lines(page.lines, text_tokens)
    if kept == 0:
        return BuiltRow("no_room", outcome.key, columns={"kind": kind})
    regions = page_regions(page, outcome.width, outcome.height)
    records = [(region.phrase, region.quad) for region in regions[:kept] if region.quad is not None]
    record = SampleRecord(
        id=f"{unit.id}-{outcome.key}",
        source=unit.source,
        task="ocr",
        language=language,
        turns=ocr_turns(records, language),
        origin=Origin(unit.name, row, outcome.key, url),
        regions=tuple(regions),
    )
    sample = Sample(record, (SampleImage("jpg", outcome.jpeg, outcome.width, outcome.height),))
    return BuiltRow(KEEP, outcome.key, [sample], ledger_values(outcome, page, kind, language, len(page.lines) - kept))


def ledger_values(outcome: Outcome, page: Page, kind: str, language: str, cut: int) -> dict[str, object]:
    """The values of COLUMNS for a kept page. ``cut``: how many of its lines do not fit into the sequence."""
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
        "notes": notes_json(page.notes),
    }
