"""Font faces and the characters that they can really draw, judged by their outlines."""

import io
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import uharfbuzz as hb  # type: ignore[import-untyped]
import xxhash
from fontTools.ttLib import TTCollection, TTFont  # type: ignore[import-untyped]
from PIL import ImageFont, features

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.storage.reader import Storage
from qvl.synth_ocr.page.user_cache import cached_bytes
from qvl.synth_ocr.scene.settings import FontChoice

SIMPLIFIED = ("CJK SC", "UKai CN", "UMing CN")
COVERAGE_VERSION = 2
# an outline that more code points share is a placeholder; up to 6 letters look alike (DejaVu)
IDENTICAL = 8
LOW, ASCENDING = "acemnorsuvwxz", "bdfhkl"
# height of small letters / of those with an ascender: 61 faces have at most 0.81, seven all-capitals ones 0.91 and more
UNICASE = 0.88
TRUSTED = 0x0250  # code points below this may share outlines; .notdef is refused everywhere


@dataclass(frozen=True, order=True)
class Face:
    """One face of a font file."""

    path: str
    index: int = 0

    @property
    def name(self) -> str:
        return f"{Path(self.path).name}:{self.index}"


def has_raqm() -> bool:
    """Whether Pillow shapes text with raqm. Without it, kerning, ligatures and vertical forms are missing."""
    return bool(features.check("raqm"))


@lru_cache(maxsize=256)
def load(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """The face at ``size`` pixels per em."""
    return ImageFont.truetype(face.path, size, index=face.index)


@lru_cache(maxsize=256)
def line_ratio(face: Face) -> float:
    """Ascent plus descent, divided by the font size."""
    ascent, descent = load(face, 200).getmetrics()
    return (ascent + descent) / 200


@lru_cache(maxsize=64)
def coverage(face: Face) -> frozenset[int]:
    """Code points that the face can draw.

    Finding them takes seconds for a Chinese face, so they stay in the user's cache, under the hash of the font file.
    """

    def compute() -> bytes:
        stored = io.BytesIO()
        np.save(stored, np.array(sorted(drawable_code_points(face)), np.int32))
        return stored.getvalue()

    name = f"glyphs-{COVERAGE_VERSION}-{file_hash(face.path)}-{face.index}.npy"
    return frozenset(np.load(io.BytesIO(cached_bytes(name, compute))).tolist())


def drawable_code_points(face: Face) -> frozenset[int]:
    """Code points of the face's cmap whose outline is not empty, not that of .notdef and not shared by many."""
    font = hb.Font(hb.Face(hb.Blob.from_file_path(face.path), face.index))
    groups: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
    blanks = {0x20, 0x3000}
    covered = set()
    for code in font.face.unicodes:
        glyph = font.get_nominal_glyph(code)
        extents = font.get_glyph_extents(glyph) if glyph else None
        if extents is None:
            continue
        if extents.width and extents.height:
            key = (extents.x_bearing, extents.y_bearing, extents.width, extents.height, font.get_glyph_h_advance(glyph))
            groups[key].append((code, glyph))
        elif code in blanks:
            covered.add(code)
    notdef = _outline(font, 0)
    for members in groups.values():
        covered |= _distinct(font, members, notdef)
    return frozenset(covered)


def _distinct(font: hb.Font, members: list[tuple[int, int]], notdef: bytes) -> set[int]:
    """Among code points with equal extents, those whose outline is neither that of .notdef nor shared by too many."""
    shapes: dict[bytes, list[int]] = defaultdict(list)
    for code, glyph in members:
        shapes[_outline(font, glyph) if len(members) > 1 or notdef else b""].append(code)
    good: set[int] = set()
    for shape, codes in shapes.items():
        if shape != notdef or not notdef:
            good |= set(codes) if len(codes) <= IDENTICAL else {code for code in codes if code < TRUSTED}
    return good


def _outline(font: hb.Font, glyph: int) -> bytes:
    """A digest of the glyph's contours."""
    pieces: list[float] = []
    functions = hb.DrawFuncs()
    functions.set_move_to_func(lambda x, y, c: pieces.extend((1, x, y)))
    functions.set_line_to_func(lambda x, y, c: pieces.extend((2, x, y)))
    functions.set_quadratic_to_func(lambda a, b, x, y, c: pieces.extend((3, a, b, x, y)))
    functions.set_cubic_to_func(lambda a, b, d, e, x, y, c: pieces.extend((4, a, b, d, e, x, y)))
    font.draw_glyph(glyph, functions)
    return xxhash.xxh3_128_digest(repr(pieces).encode()) if pieces else b""


@lru_cache(maxsize=256)
def is_unicase(face: Face) -> bool:
    """Whether small letters are drawn as capitals, so that those without an ascender are as tall as those with one."""
    font = hb.Font(hb.Face(hb.Blob.from_file_path(face.path), face.index))
    found = [font.get_glyph_extents(font.get_nominal_glyph(ord(c)) or 0) for c in LOW + ASCENDING]
    tall = [-shape.height if shape else 0 for shape in found]
    return float(np.median(tall[: len(LOW)])) > UNICASE * float(np.median(tall[len(LOW) :])) > 0


def as_drawn(face: Face, text: str) -> str:
    """The text as the face draws it: in capitals for an all-capitals face."""
    return text.upper() if is_unicase(face) else text


def covers(face: Face, text: str) -> bool:
    """Whether the face draws every character."""
    return coverage(face).issuperset(map(ord, text))


def faces_of(choices: tuple[FontChoice, ...]) -> list[Face]:
    """All faces in a fixed order. Raises RecipeError for a choice that names no font."""
    found: list[Face] = []
    for choice in choices:
        paths = [path for pattern in choice.fonts for path in Storage().glob(pattern)] + _family(choice.family)
        if not paths:
            raise RecipeError(
                f"no font for {choice.family or choice.fonts}; `sh scripts/ocr_packages.sh` installs the demo's"
            )
        for path in sorted(set(paths)):
            found += [Face(path, index) for index in choice.faces or (default_face(path),)]
    return sorted(set(found))


def _family(family: str | None) -> list[str]:
    """The files of an installed family that fontconfig names."""
    if family is None:
        return []
    command = ["fc-list", "-f", "%{file}\n", f":family={family}"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except FileNotFoundError:
        raise RecipeError("fc-list is not installed; name font files instead of families") from None
    return sorted(set(listed.split("\n")) - {""})


@lru_cache(maxsize=256)
def default_face(path: str) -> int:
    """The index of a collection's simplified Chinese face, or of its first face."""
    if not path.lower().endswith((".ttc", ".otc")):
        return 0
    with TTCollection(path, lazy=True) as collection:
        names = [face_name(font) for font in collection.fonts]
    plain = [i for i, name in enumerate(names) if any(part in name for part in SIMPLIFIED) and "Mono" not in name]
    return plain[0] if plain else 0


def face_name(font: TTFont) -> str:
    """The full name of an open face, or its family if it has none."""
    return str(font["name"].getDebugName(4) or font["name"].getDebugName(1) or "")


@lru_cache(maxsize=512)
def file_hash(path: str) -> str:
    """The xxh3-128 of a font file."""
    return xxhash.xxh3_128_hexdigest(Path(path).read_bytes())
