"""Draws simplified and traditional Chinese text with faces of its own region."""

from functools import lru_cache
from typing import Literal

import uharfbuzz as hb  # type: ignore[import-untyped]
from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]

from qvl.synth_ocr.page.text import HAN
from qvl.synth_ocr.scene.fonts import SIMPLIFIED, Face, face_name

Region = Literal["simplified", "traditional"]
FACE_NAMES: dict[Region, tuple[str, ...]] = {"simplified": SIMPLIFIED, "traditional": ("CJK TC", "UKai TW", "UMing TW")}
OTHER_REGIONS = ("CJK JP", "CJK KR", "CJK HK", "UKai HK", "UMing HK")
# common characters whose simplified and traditional forms differ, in pairs
COMMON: dict[Region, str] = {
    "simplified": "这来说们国时会为学对发过后还没当经间头问样动现长门见书话电东车马风开关听写买卖",
    "traditional": "這來說們國時會為學對發過後還沒當經間頭問樣動現長門見書話電東車馬風開關聽寫買賣",
}
LEAST_COMMON = 0.95  # share of a region's common characters that a face must have


@lru_cache(maxsize=1)
def exclusive_characters() -> dict[Region, frozenset[str]]:
    """Characters in only one region's standard: in GB 2312 but not Big5, and in Big5 but not GB 2312."""
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
    """The region to which most of the text's exclusive characters belong; None if they do not decide."""
    characters = HAN.findall(text)
    simplified, traditional = (sum(c in exclusive_characters()[region] for c in characters) for region in FACE_NAMES)
    if simplified == traditional:
        return None
    return "simplified" if simplified > traditional else "traditional"


def faces_for(faces: list[Face], region: Region | None) -> list[Face]:
    """The faces for a region's text: the region's own face of a collection, or any face with its common characters."""
    if region is None:
        return faces
    found = [regional_face(face, region) for face in faces]
    return list(dict.fromkeys(face for face in found if face is not None))


@lru_cache(maxsize=256)
def regional_face(face: Face, region: Region) -> Face | None:
    """This face, or the region's face of the same collection; None if neither belongs to the region."""
    names = _names(face.path)
    mono = "Mono" in names[face.index]
    own = [
        i
        for i, name in enumerate(names)
        if any(part in name for part in FACE_NAMES[region]) and ("Mono" in name) == mono
    ]
    if own:
        return face if face.index in own else Face(face.path, own[0])
    other: Region = "traditional" if region == "simplified" else "simplified"
    if any(part in names[face.index] for part in (*FACE_NAMES[other], *OTHER_REGIONS)):
        return None
    font = hb.Font(hb.Face(hb.Blob.from_file_path(face.path), face.index))
    drawn = sum(bool(font.get_nominal_glyph(ord(c))) for c in COMMON[region])
    return face if drawn >= LEAST_COMMON * len(COMMON[region]) else None


@lru_cache(maxsize=256)
def _names(path: str) -> list[str]:
    """The names of all faces in a file."""
    if not path.lower().endswith((".ttc", ".otc")):
        with TTFont(path, lazy=True) as font:
            return [face_name(font)]
    with TTCollection(path, lazy=True) as collection:
        return [face_name(font) for font in collection.fonts]
