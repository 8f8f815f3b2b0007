"""What a scene notes about its page: how strong each effect was, and which fonts and photographs it passed over.

The ledger keeps the notes of a page as JSON; pages of other kinds have none.
"""

from dataclasses import dataclass, field

import orjson

from qvl.pipeline.commit.records import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneNotes:
    """Effects are in the units of ``qvl.synth_ocr.scene.settings``; ``bend``: share of its area that the paper lost."""

    blur: float
    motion_blur: int
    shadow: float
    contrast: float
    brightness: float
    noise: float
    bend: float
    quality: int  # of the JPEG
    layout: str
    asked: dict[str, int]  # by requested face: runs of text that it was to draw
    lacking: dict[str, int]  # of those, how many began with a character that the face lacks
    excluded_backgrounds: list[str] = field(default_factory=list)  # file, reason, benchmarks or word


def notes_json(notes: SceneNotes | None) -> str:
    """The notes as the ledger keeps them; ``{}`` for a page without notes."""
    if notes is None:
        return "{}"
    content = {name: getattr(notes, name) for name in SceneNotes.__dataclass_fields__}
    if not notes.excluded_backgrounds:
        del content["excluded_backgrounds"]
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def parse_notes(text: str, name: str) -> SceneNotes | None:
    """The notes in a ledger's JSON. ``name`` is the file, for errors. Raises DataError for keys that are not notes'."""
    return None if text in ("", "{}") else decode(SceneNotes, text.encode(), name)
