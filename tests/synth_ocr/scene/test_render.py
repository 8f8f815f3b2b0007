"""Scenes: the label is what is drawn, quads are the ink's, equal seeds give equal bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.synth_ocr.page.geometry import Points, is_sound, rect_quad
from qvl.synth_ocr.page.rules import finish
from qvl.synth_ocr.page.text import clean
from qvl.synth_ocr.scene import effects
from qvl.synth_ocr.scene.corpus import plain
from qvl.synth_ocr.scene.draw import Sheet, Writer
from qvl.synth_ocr.scene.fonts import Face, coverage, covers, has_raqm, wanted_face
from qvl.synth_ocr.scene.layout import Box
from qvl.synth_ocr.scene.lines import CLOSING, OPENING, fill, units
from qvl.synth_ocr.scene.render import Stock, scene
from qvl.synth_ocr.scene.settings import PERSPECTIVES, Canvas, Effects, TextLayout
from qvl.synth_ocr.scene.source import Scene

LATIN = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
CHINESE = "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"
KAI = "/usr/share/fonts/truetype/arphic/ukai.ttc"
ENGLISH_TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 40
CHINESE_TEXT = "我们在二〇二三年用Python写了“程序”，它很好（真的）。他说：可以！然后大家都笑了。" * 60


def need(path: str) -> str:
    if not Path(path).is_file():
        pytest.skip(f"{path} is not installed: sh scripts/ocr_packages.sh")
    return path


def stock(folder: Path, language: str, kind: str = "grid_stack", **settings: Any) -> Stock:
    text = folder / f"{language}.txt"
    text.write_text(ENGLISH_TEXT if language == "en" else CHINESE_TEXT, "utf-8")
    font = need(LATIN if language == "en" else CHINESE)
    content = {
        "language": language, "count": 1, "fonts": [{"fonts": [font]}], "corpora": [{"texts": [str(text)]}],
        "layout": {"kinds": {kind: 1.0}}, **settings,
    }  # fmt: skip
    made: Stock = Scene.model_validate(content).stock()
    return made


def generator(index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((7, index))))


def test_defaults_are_those_of_synthdog() -> None:
    canvas, layout, bent = Canvas(), TextLayout(), Effects()
    assert (canvas.quality, canvas.landscape, canvas.short_size, canvas.aspect_ratio) == (
        (50, 95),
        0.5,
        (720, 1024),
        (1, 2),
    )
    assert (canvas.background_blur, canvas.fullscreen, canvas.document_short_size) == ((0, 10), 0.5, (480, 1024))
    assert (canvas.document_landscape, canvas.document_aspect_ratio, canvas.paper_alpha) == (0.5, (1, 2), (0, 0.2))
    assert (layout.margin, layout.text_scale, layout.max_row, layout.max_col) == ((0, 0.1), (0.0334, 0.1), 10, 3)
    assert (layout.fill, layout.full, layout.stack_spacing) == ((0.5, 1), 0.1, (0.0334, 0.0334))
    assert (layout.stack_fill, layout.stack_full, layout.textbox_fill) == ((0.5, 1), 0.1, (0.5, 1))
    assert (layout.textbox_color, layout.content_color, layout.gray) == (0.2, 0.2, (0, 64))
    assert (bent.elastic_alpha, bent.elastic_sigma, bent.noise_scale) == ((0, 1), (0, 0.5), (0, 8))
    assert [weight for weight, _ in PERSPECTIVES] == [750, 50, 50, 25, 25, 25, 25, 50]
    assert (bent.rgb, bent.rgb_alpha, bent.shadow_intensity, bent.shadow_smoothing) == (
        0.2,
        (0, 0.2),
        (0, 160),
        (0.5, 1),
    )
    assert (bent.contrast_alpha, bent.brightness_beta) == ((1, 1.5), (-48, 0))
    assert (bent.motion_blur, bent.motion_blur_k, bent.gaussian_blur) == (0.5, (3, 5), (0, 1.5))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["grid_stack", "columns", "table", "sign", "form"])
def test_every_layout_gives_sound_quads_on_ink(tmp_path: Path, language: str, kind: str) -> None:
    page = scene(stock(tmp_path, language, kind), generator(3))
    height, width, _ = page.image.shape
    assert page.lines and page.unlabelled_ink < 0.05
    for line in page.lines:
        assert is_sound(line.quad) and line.ink_share > 0.03 and line.contrast > 24
        assert line.quad.min() > -1 and line.quad[:, 0].max() < width + 1 and line.quad[:, 1].max() < height + 1
        assert line.agreement > 0.7


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_ones(tmp_path: Path) -> None:
    made = stock(tmp_path, "en")
    first, again, other = (finish("k", scene(made, generator(i)), made.rules).jpeg for i in (1, 1, 2))
    assert first == again != other


def test_words_are_those_of_the_text_and_never_cut(tmp_path: Path) -> None:
    made = stock(tmp_path, "en")
    whole = set(ENGLISH_TEXT.split())
    for index in range(4):
        for line in scene(made, generator(index)).lines:
            assert set(line.text.split(" ")) <= whole
            assert [word.text for word in line.words] == line.text.split(" ")


def test_chinese_lines_follow_the_rules_and_have_no_blanks(tmp_path: Path) -> None:
    made = stock(tmp_path, "zh", "columns")
    lines = [line.text for index in range(3) for line in scene(made, generator(index)).lines]
    assert len(lines) > 20
    for text in lines:
        assert text[0] not in CLOSING and text[-1] not in OPENING
        assert " " not in text
        assert text.count("P") == text.count("Python")


def test_vertical_chinese_stands_upright_and_starts_at_the_top(tmp_path: Path) -> None:
    if not has_raqm():
        pytest.skip("Pillow has no raqm: vertical forms are missing")
    page = scene(stock(tmp_path, "zh", "vertical"), generator(5))
    assert page.lines
    for line in page.lines:
        along, down = line.quad[1] - line.quad[0], line.quad[3] - line.quad[0]
        assert np.hypot(*down) > np.hypot(*along) or len(line.text) < 2
        assert line.quad[0][1] < line.quad[3][1]


def test_coverage_is_of_outlines_not_of_cmaps() -> None:
    from fontTools.ttLib import TTCollection, TTFont

    cmap = TTFont(need(LATIN)).getBestCmap()
    assert 0x2800 in cmap and 0x2800 not in coverage(Face(LATIN))  # an empty Braille cell
    assert covers(Face(LATIN), "Hello, World! \"'-~^`|")
    assert not covers(Face(LATIN), "中")
    kai = Face(need(KAI), wanted_face(KAI))
    cmap = TTCollection(KAI).fonts[kai.index].getBestCmap()
    for code in (0x478D, 0x4985, 0x4CA2, 0x4D15, 0x4D16, 0x4D18):
        assert code in cmap and code not in coverage(kai)


def test_the_simplified_face_of_a_collection_is_taken() -> None:
    noto = need("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
    assert wanted_face(noto) == 2


def empty_sheet(width: int = 600, height: int = 100) -> Sheet:
    blank = np.zeros((height, width), np.uint8)
    return Sheet(np.full((height, width, 3), 255, np.uint8), blank, blank.astype(np.uint16))


def test_an_uncovered_character_is_refonted_or_dropped_with_a_reason() -> None:
    box = Box(10, 20, 500, 40)
    for faces, expected in (([Face(LATIN), Face(need(CHINESE))], ["中文"]), ([Face(LATIN)], [])):
        sheet = empty_sheet()
        Writer(sheet, faces, list(units("中文"))).write(box, Face(LATIN), (0, 0, 0))
        assert [line.text for line in sheet.lines] == expected
        assert bool(sheet.lost["uncovered"]) == (not expected)
        assert sheet.lacks[Face(LATIN).name] == sheet.placed[Face(LATIN).name] > 0
        assert bool(sheet.ink.any()) == bool(expected)


def test_ink_beyond_the_advance_is_measured_and_never_cut() -> None:
    italic = need("/usr/share/fonts/truetype/liberation/LiberationSerif-Italic.ttf")
    sheet = empty_sheet()
    writer = Writer(sheet, [Face(italic)], list(units("jf")))
    writer.write(Box(100, 10, 300, 80), Face(italic), (0, 0, 0))
    (line,) = sheet.lines
    (_, rect), columns = line.words[0], np.flatnonzero((sheet.ink >= 96).any(axis=0))
    assert rect[0] < line.layout[0] and rect[2] > line.layout[2]
    assert (rect[0], rect[2]) == (columns[0], columns[-1] + 1)
    sheet = empty_sheet()
    Writer(sheet, [Face(italic)], list(units("jf"))).write(Box(0, 10, 300, 80), Face(italic), (0, 0, 0))
    assert not sheet.lines and sheet.lost["over_edge"] == 1 and not sheet.ink.any()


@given(st.lists(st.floats(-0.2, 0.2), min_size=8, max_size=8), st.floats(1, 200), st.floats(1, 60))
def test_carried_rectangles_stay_convex_and_clockwise(bend: list[float], width: float, height: float) -> None:
    corners: Points = np.array([(0, 0), (400, 0), (400, 300), (0, 300)], float) + np.reshape(bend, (4, 2)) * (400, 300)
    matrix = effects.homography(400, 300, corners)
    assert is_sound(effects.carry(rect_quad((5.0, 5.0, 5.0 + width, 5.0 + height)), matrix))


@given(st.text(max_size=60))
def test_labels_hold_no_unseen_characters(text: str) -> None:
    label = clean(text)
    assert label == clean(label) == " ".join(label.split())
    assert not set(label) & set("\u200b\ufeff\u00ad\u00a0\u3000\ufe0f\x00\ufb01")


def test_units_keep_words_and_signs_together() -> None:
    pieces = [unit.text for unit in units("我在2023年用Python写“程序”，好（真）。OK! go")]
    assert "".join(pieces) == "我在2023年用Python写“程序”，好（真）。OK!go"
    assert {"2023", "Python", "“程", "序”，", "（真）。"} <= set(pieces)
    assert [unit.text for unit in units("苏轼（１０３６－１１０１）")] == ["苏", "轼", "（１０３６", "－", "１１０１）"]
    assert fill(list(units("one two three")), 0, len, 8) == ("one two", 2)
    assert fill(list(units("中文。字")), 0, len, 2) == ("中", 1)


def test_corpora_are_cleaned_of_mark_up() -> None:
    assert plain("a [[File:x.png|thumb|b]] [[link|word]] '''bold''' {{t|x}}") == "a word bold"
    assert plain("第一行\n第二行") == "第一行第二行"
    assert plain("first\nsecond\n%\nthird") == "first second third"
