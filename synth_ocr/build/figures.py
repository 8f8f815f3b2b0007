"""The figures of a finished build over all pages, from its ledger: OUT/report.json and the report show them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.verdicts import KEEP
from qvl.synth_ocr.page.notes import SceneNotes, parse_notes

MOST = 60  # entries of the longest lists


@dataclass(frozen=True, slots=True)
class Figures:
    """The content of OUT/report.json. Its key order is that of the fields."""

    lines: int
    characters: int
    scripts: dict[str, int]  # characters by script
    lost_lines: dict[str, int]  # words and lines left out of labels, by reason
    fonts: dict[str, int]  # pages by font
    fonts_used: int
    lacking: dict[str, list[int]]  # by face: runs of text whose first character it does not have, and all runs
    excluded_backgrounds: dict[str, int]  # by reason and benchmark
    han_seen: int  # different Chinese characters
    gb2312_level_1_seen: int
    gb2312_level_1_share: float


def gb2312_level_one() -> frozenset[str]:
    """The 3,755 most common simplified characters: rows 16 to 55 of GB 2312."""
    codes = (bytes((row + 0xA0, cell + 0xA0)) for row in range(16, 56) for cell in range(1, 95))
    return frozenset("".join(code.decode("gb2312", "ignore") for code in codes))


def compute_figures(ledger: pa.Table) -> Figures:
    """The figures of a build's ledger."""
    common = gb2312_level_one()
    han = {character for each in ledger["han"].to_pylist() for character in each or ""}
    kept = ledger.filter(pc.equal(ledger["verdict"].cast(pa.string()), KEEP))
    excluded, requested, lacking = Counter[str](), Counter[str](), Counter[str]()
    for text in kept["notes"].to_pylist():
        notes = parse_notes(text or "", "notes in the ledger")
        if not isinstance(notes, SceneNotes):
            continue
        requested.update(notes.asked)
        lacking.update(notes.lacking)
        for hit in notes.excluded_backgrounds:
            _, reason, found = hit.rsplit(" ", 2)
            excluded[f"{reason} {found}"] += 1
    fonts = Counter[str](font for each in kept["fonts"].to_pylist() for font in each or ())
    return Figures(
        lines=sum(each or 0 for each in kept["lines"].to_pylist()),
        characters=sum(each or 0 for each in kept["characters"].to_pylist()),
        scripts=dict(_total(kept["scripts"].to_pylist()).most_common()),
        lost_lines=dict(_total(kept["lost"].to_pylist()).most_common()),
        fonts=dict(fonts.most_common(MOST)),
        fonts_used=len(fonts),
        lacking={face: [runs, requested[face]] for face, runs in lacking.most_common(MOST)},
        excluded_backgrounds=dict(excluded.most_common()),
        han_seen=len(han),
        gb2312_level_1_seen=len(han & common),
        gb2312_level_1_share=round(len(han & common) / len(common), 4),
    )


def _total(texts: Iterable[str | None]) -> Counter[str]:
    """The sum of counts that are stored as JSON."""
    total: Counter[str] = Counter()
    for text in texts:
        total.update(orjson.loads(text) if text else {})
    return total
