"""What is noted about how a page was made, which the ledger keeps as JSON.

Of a scene: how strong each effect was, and which fonts and photographs it passed over. Of an untrusted web page: what kept
it off the network. Other pages have no notes.
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
    lacking: dict[str, int]  # of those, how many began with a character that the font does not have
    excluded_backgrounds: list[str] = field(default_factory=list)  # file, reason, benchmarks or word


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserNotes:
    """``isolation``: a value of ``qvl.synth_ocr.html.isolation.Isolation``."""

    isolation: str


def notes_json(notes: SceneNotes | BrowserNotes | None) -> str:
    """The notes as the ledger keeps them; ``{}`` for a page without notes."""
    if notes is None:
        return "{}"
    if isinstance(notes, BrowserNotes):
        return orjson.dumps({"isolation": notes.isolation}).decode()
    content = {name: getattr(notes, name) for name in SceneNotes.__dataclass_fields__}
    if not notes.excluded_backgrounds:
        del content["excluded_backgrounds"]
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def parse_notes(text: str, name: str) -> SceneNotes | BrowserNotes | None:
    """The notes in a ledger's JSON. ``name`` is the file, for errors. Raises DataError for keys that are not notes'."""
    if text in ("", "{}"):
        return None
    if text.startswith('{"isolation":'):
        return decode(BrowserNotes, text.encode(), name)
    return decode(SceneNotes, text.encode(), name)
