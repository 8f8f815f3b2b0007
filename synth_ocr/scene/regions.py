"""Chinese text of a region goes to faces of that region: simplified and traditional forms, by what standards hold."""

from functools import lru_cache
from typing import Literal

import uharfbuzz as hb  # type: ignore[import-untyped]
from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]

from qvl.synth_ocr.page.text import HAN
from qvl.synth_ocr.scene.fonts import SIMPLIFIED, Face, face_name

Region = Literal["simplified", "traditional"]
MARKS: dict[Region, tuple[str, ...]] = {"simplified": SIMPLIFIED, "traditional": ("CJK TC", "UKai TW", "UMing TW")}
OTHERS = ("CJK JP", "CJK KR", "CJK HK", "UKai HK", "UMing HK")
# pairs of common characters whose forms differ
COMMON: dict[Region, str] = {
    "simplified": "这来说们国时会为学对发过后还没当经间头问样动现长门见书话电东车马风开关听写买卖",
    "traditional": "這來說們國時會為學對發過後還沒當經間頭問樣動現長門見書話電東車馬風開關聽寫買賣",
}
LEAST = 0.95  # of the common characters of a region


@lru_cache(maxsize=1)
def alone() -> dict[Region, frozenset[str]]:
    """Characters that only one region's standard has: GB 2312 without Big5 and Big5 without GB 2312."""
    has = {name: {c for c in map(chr, range(0x4E00, 0xA000)) if _encodes(c, name)} for name in ("gb2312", "big5")}
    return {
        "simplified": frozenset(has["gb2312"] - has["big5"]), "traditional": frozenset(has["big5"] - has["gb2312"])
    }  # fmt: skip


def _encodes(char: str, codec: str) -> bool:
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def region_of(text: str) -> Region | None:
    """Which region most of the telling characters belong to; None where none tells."""
    characters = HAN.findall(text)
    simplified, traditional = (sum(c in alone()[region] for c in characters) for region in MARKS)
    if simplified == traditional:
        return None
    return "simplified" if simplified > traditional else "traditional"


def faces_for(faces: list[Face], region: Region | None) -> list[Face]:
    """The faces that draw a region's text: of a collection the region's own, else one that has its common characters."""
    if region is None:
        return faces
    found = [regional(face, region) for face in faces]
    return list(dict.fromkeys(face for face in found if face is not None))


@lru_cache(maxsize=256)
def regional(face: Face, region: Region) -> Face | None:
    """This face, or the region's one of its collection; None where neither is of the region."""
    names = _names(face.path)
    mono = "Mono" in names[face.index]
    own = [i for i, name in enumerate(names) if any(m in name for m in MARKS[region]) and ("Mono" in name) == mono]
    if own:
        return face if face.index in own else Face(face.path, own[0])
    other: Region = "traditional" if region == "simplified" else "simplified"
    if any(mark in names[face.index] for mark in (*MARKS[other], *OTHERS)):
        return None
    font = hb.Font(hb.Face(hb.Blob.from_file_path(face.path), face.index))
    drawn = sum(bool(font.get_nominal_glyph(ord(c))) for c in COMMON[region])
    return face if drawn >= LEAST * len(COMMON[region]) else None


@lru_cache(maxsize=256)
def _names(path: str) -> list[str]:
    """Names of a file's faces."""
    if not path.lower().endswith((".ttc", ".otc")):
        with TTFont(path, lazy=True) as font:
            return [face_name(font)]
    with TTCollection(path, lazy=True) as collection:
        return [face_name(font) for font in collection.fonts]
