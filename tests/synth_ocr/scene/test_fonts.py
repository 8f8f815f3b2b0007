"""What faces can draw, and which face of a collection is used."""

from collections import defaultdict
from pathlib import Path

import pytest
import uharfbuzz as hb
from fontTools.ttLib import TTCollection

from qvl.synth_ocr.scene.fonts import Face, coverage, covers, default_face, file_hash
from tests.synth_ocr.scene.scenes import (
    CHINESE,
    KAI,
    LATIN,
    need,
)


def test_coverage_when_the_cmap_has_empty_outlines_leaves_them_out() -> None:
    from fontTools.ttLib import TTFont

    cmap = TTFont(need(LATIN)).getBestCmap()
    assert 0x2800 in cmap and 0x2800 not in coverage(Face(LATIN))  # an empty Braille cell
    assert covers(Face(LATIN), "Hello, World! \"'-~^`|")
    assert not covers(Face(LATIN), "中")
    kai = Face(need(KAI), default_face(KAI))
    cmap = TTCollection(KAI).fonts[kai.index].getBestCmap()
    for code in (0x478D, 0x4985, 0x4CA2, 0x4D15, 0x4D16, 0x4D18):
        assert code in cmap and code not in coverage(kai)


def test_default_face_of_a_collection_is_the_simplified_chinese_one() -> None:
    noto = need("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
    assert default_face(noto) == 2


def test_coverage_has_no_variation_selectors_blank_han_or_repeated_boxes() -> None:
    assert not coverage(Face(LATIN)) & set(range(0xFE00, 0xFE10))
    assert not coverage(Face(need(CHINESE))) & {0x2F8F0, 0x2F9A6}
    font = hb.Font(hb.Face(hb.Blob.from_file_path(LATIN)))
    shapes: dict[object, list[int]] = defaultdict(list)
    for code in coverage(Face(LATIN)):
        glyph = font.get_nominal_glyph(code)
        extents = font.get_glyph_extents(glyph)
        if code > 0x250 and extents.width:
            shapes[glyph].append(code)
    assert max(map(len, shapes.values())) <= 8
    assert {0x2019, 0x0410, 0x0391} <= coverage(Face(LATIN))  # letters that look alike are not placeholders


def test_coverage_is_cached_under_the_hash_of_the_font_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    coverage.cache_clear()
    first = coverage(Face(LATIN))
    (kept,) = (tmp_path / "qvl").glob("glyphs-*")
    assert file_hash(LATIN) in kept.name
    coverage.cache_clear()
    assert coverage(Face(LATIN)) == first
    coverage.cache_clear()
