"""Traps of scenes: places that follow the paper, photographs of every mode, benchmark images, labels that are drawn."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import uharfbuzz as hb
from fontTools.ttLib import TTCollection
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import features

from qvl.synth_ocr.page.geometry import heading, iou, is_sound, tight_quad
from qvl.synth_ocr.page.page import PageRejected
from qvl.synth_ocr.page.text import HAN, PRIVATE_USE
from qvl.synth_ocr.scene.corpus import faker_of, plain
from qvl.synth_ocr.scene.draw import Writer, stamp
from qvl.synth_ocr.scene.fonts import Face, coverage, face_name, file_hash, load
from qvl.synth_ocr.scene.layout import Box, grid_stack
from qvl.synth_ocr.scene.lines import units
from qvl.synth_ocr.scene.regions import COMMON, faces_for, region_of
from qvl.synth_ocr.scene.render import scene
from qvl.synth_ocr.scene.settings import TextLayout
from qvl.synth_ocr.scene.source import Scene
from tests.synth_ocr.scene.test_render import CHINESE, LATIN, empty_sheet, generator, need, stock

STILL = {
    "elastic_alpha": (0, 0), "noise_scale": (0, 0), "rgb": 0, "shadow_intensity": (0, 0), "contrast_alpha": (1, 1),
    "brightness_beta": (0, 0), "motion_blur": 0, "gaussian_blur": (0, 0),
}  # fmt: skip


@pytest.mark.parametrize("index", range(6))
def test_quads_are_where_the_ink_is_after_the_paper_was_bent_and_placed(tmp_path: Path, index: int) -> None:
    canvas = {"fullscreen": 0, "paper_alpha": (0, 0), "short_size": (900, 900), "document_short_size": (500, 700)}
    layout = {"kinds": {"sign": 1.0}, "textbox_color": 0, "content_color": 0}
    made = stock(tmp_path, "en", effects=STILL, canvas=canvas, layout=layout)
    page = scene(made, generator(index))
    dark = page.image.max(axis=2) < 100
    everywhere = np.zeros(dark.shape, np.uint8)
    for line in page.lines:
        grown = line.quad + np.sign(line.quad - line.quad.mean(axis=0)) * 3
        inside = np.zeros(dark.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.round(grown).astype(np.int32), 1)
        found = tight_quad(dark & (inside > 0), 0, 0, heading(line.quad))
        assert found is not None and iou(found, line.quad) > 0.88
        everywhere |= inside
    assert page.lines and not (dark & (everywhere == 0)).any()


def test_places_differ_from_scene_to_scene(tmp_path: Path) -> None:
    made = stock(tmp_path, "en", canvas={"fullscreen": 0})
    first, second = (scene(made, generator(index)).lines[0].quad for index in (1, 2))
    assert np.abs(first - second).max() > 5


def test_coverage_has_no_variation_selectors_nor_blank_han_nor_repeated_boxes() -> None:
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
    assert {0x2019, 0x0410, 0x0391} <= coverage(Face(LATIN))  # letters that look alike are no placeholders


def test_coverage_is_kept_by_the_hash_of_the_font_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    coverage.cache_clear()
    first = coverage(Face(LATIN))
    (kept,) = (tmp_path / "qvl").glob("glyphs-*")
    assert file_hash(LATIN) in kept.name
    coverage.cache_clear()
    assert coverage(Face(LATIN)) == first
    coverage.cache_clear()


@pytest.mark.parametrize("text", [r"C:\temp\x", "f(x) = [a] {b} 1<2>0", "“quoted” – it’s", "ﬁne oﬃce"])
def test_the_label_is_the_drawn_string(text: str) -> None:
    sheet = empty_sheet()
    Writer(sheet, [Face(LATIN)], list(units(plain(text)))).write(Box(10, 20, 580, 40), Face(LATIN), (0, 0, 0))
    assert [line.text for line in sheet.lines] == [text.replace("ﬁ", "fi").replace("ﬃ", "ffi")]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/usr/share/fonts/opentype/bwht/BecauseWeLearn-Regular.otf", "SMALL LETTERS"),
        ("/usr/share/fonts/truetype/humor-sans/Humor-Sans.ttf", "SMALL LETTERS"), (LATIN, "small letters"),
        ("/usr/share/fonts/truetype/agave/agave-r-autohinted.ttf", "small letters"),
    ],
)  # fmt: skip
def test_the_label_of_an_all_capitals_face_is_in_capitals(path: str, label: str) -> None:
    sheet = empty_sheet()
    face = Face(need(path))
    Writer(sheet, [face], list(units("small letters"))).write(Box(10, 20, 580, 40), face, (0, 0, 0))
    assert [line.text for line in sheet.lines] == [label]


NOTO = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
KAI = "/usr/share/fonts/truetype/arphic/ukai.ttc"
TRADITIONAL_TEXT = "我們在圖書館裡學習漢語，這是一個關於國家與語言的問題。" * 60


def test_a_texts_region_is_told_by_characters_that_only_one_standard_has() -> None:
    assert {len(text) for text in COMMON.values()} == {39}
    for region, text in COMMON.items():
        assert region_of(text) == region and not set(text) & set(COMMON["simplified"]) & set(COMMON["traditional"])
    assert region_of("山水人口") is None and region_of("Latin 2024") is None
    assert region_of("国家里有一个喆") == "simplified"


def test_each_regions_text_goes_to_faces_of_that_region() -> None:
    faces = [Face(need(NOTO), 2), Face(need(KAI), 0), Face(need(CHINESE), 0), Face(NOTO, 0)]
    names = {
        region: [face_name(TTCollection(face.path).fonts[face.index]) for face in faces_for(faces, region)]
        for region in COMMON
    }
    assert names == {
        "simplified": ["Noto Sans CJK SC", "AR PL UKai CN", "WenQuanYi Micro Hei"],
        "traditional": ["Noto Sans CJK TC", "AR PL UKai TW", "WenQuanYi Micro Hei"],
    }
    assert faces_for(faces, None) == faces
    assert faces_for([Face(LATIN)], "traditional") == []


def test_traditional_scenes_are_drawn_with_traditional_faces_or_rejected(tmp_path: Path) -> None:
    made = stock(tmp_path, "zh", fonts=[{"fonts": [need(NOTO)]}])
    assert scene(made, generator(1)).fonts == ["NotoSansCJK-Regular.ttc:2"]
    (tmp_path / "traditional.txt").write_text(TRADITIONAL_TEXT)
    texts = [{"texts": [str(tmp_path / "traditional.txt")]}]
    page = scene(stock(tmp_path, "zh", fonts=[{"fonts": [NOTO]}], corpora=texts), generator(1))
    assert page.fonts == ["NotoSansCJK-Regular.ttc:3"] and region_of(page.text) == "traditional"
    with pytest.raises(PageRejected, match="no_traditional_font"):
        scene(stock(tmp_path, "zh", fonts=[{"fonts": [LATIN]}], corpora=texts), generator(1))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_is_drawn_is_covered_and_labelled_character_by_character(text: str) -> None:
    sheet = empty_sheet()
    face = Face(LATIN)
    Writer(sheet, [face], list(units(plain(text)))).write(Box(10, 20, 580, 40), face, (0, 0, 0))
    for line in sheet.lines:
        assert coverage(face).issuperset(map(ord, line.text)) and not PRIVATE_USE.search(line.text)
        assert " ".join(word for word, _ in line.words) == line.text


def test_legibility_is_judged_after_the_blur(tmp_path: Path) -> None:
    sharp = scene(stock(tmp_path, "en", effects={"gaussian_blur": (0, 0)}), generator(2))
    dim = scene(stock(tmp_path, "en", effects={"gaussian_blur": (14, 14)}), generator(2))
    assert sharp.lines and len(dim.lines) < len(sharp.lines)
    assert dim.lost["faint"] >= len(sharp.lines) - len(dim.lines)
    assert dim.unlabelled_ink > sharp.unlabelled_ink


def test_vertical_text_has_vertical_signs() -> None:
    font = load(Face(need(CHINESE)), 80)
    flat, upright = (stamp(font, "（", 100, 100, down) for down in (False, True))
    assert flat is not None and upright is not None
    assert flat[0].shape[0] > flat[0].shape[1] and upright[0].shape[0] < upright[0].shape[1]


def test_words_that_a_font_lacks_are_counted_by_font(tmp_path: Path) -> None:
    (tmp_path / "both.txt").write_text("some words 中文 and more 字 " * 400)
    texts = [{"texts": [str(tmp_path / "both.txt")]}]
    made = stock(tmp_path, "en", fonts=[{"fonts": [LATIN, need(CHINESE)]}], corpora=texts)
    notes = [scene(made, generator(index)).notes for index in range(4)]
    asked = sum(each["asked"].get("DejaVuSans.ttf:0", 0) for each in notes)
    assert 0 < sum(each["lacking"].get("DejaVuSans.ttf:0", 0) for each in notes) <= asked


def test_two_lines_on_one_place_are_one_line_and_a_count() -> None:
    sheet = empty_sheet()
    for _ in range(2):
        Writer(sheet, [Face(LATIN)], list(units("first"))).write(Box(10, 20, 200, 40), Face(LATIN), (0, 0, 0))
    assert [line.text for line in sheet.lines] == ["first"] and sheet.lost["overlap"] == 1


def test_reading_order_of_grids_is_columns_top_down() -> None:
    for index in range(20):
        boxes = grid_stack(TextLayout(), (0, 0, 900, 900), generator(index)).boxes
        for above, below in pairwise(boxes):
            if above.group == below.group:
                assert below.y > above.y if below.x == above.x else below.x > above.x
            else:
                assert below.group == above.group + 1


def test_faker_speaks_chinese_and_its_version_is_part_of_the_unit(tmp_path: Path) -> None:
    assert HAN.search(faker_of("zh", generator(0)).name())
    assert faker_of("zh", generator(0)).name() == faker_of("zh", generator(0)).name()
    stock(tmp_path, "en")
    made = Scene.model_validate({
        "language": "en", "count": 1, "fonts": [{"fonts": [LATIN]}], "corpora": [{"texts": [str(tmp_path / "en.txt")]}]
    })  # fmt: skip
    libraries = made.common()["libraries"]
    assert {"faker", "pillow", "freetype2", "harfbuzz", "raqm", "cv2", "numpy"} <= set(libraries)


def test_a_pillow_without_raqm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock(tmp_path, "en")
    made = Scene.model_validate({
        "language": "en", "count": 1, "fonts": [{"fonts": [LATIN]}], "corpora": [{"texts": [str(tmp_path / "en.txt")]}]
    })  # fmt: skip
    assert made.missing() == []
    monkeypatch.setattr(features, "check", lambda name: False)
    assert any("raqm" in line for line in made.missing())


def test_all_quads_of_a_form_are_sound_in_both_languages(tmp_path: Path) -> None:
    for language in ("en", "zh"):
        for index in range(3):
            for line in scene(stock(tmp_path, language, "form"), generator(index)).lines:
                assert is_sound(line.quad) and is_sound(line.layout) and all(is_sound(word.quad) for word in line.words)
