"""Whole scenes: labels match what is drawn, quads match the ink, equal seeds give equal bytes."""

from pathlib import Path

import numpy as np
import pytest

from qvl.synth_ocr.page.geometry import is_sound
from qvl.synth_ocr.page.page import PageRejected
from qvl.synth_ocr.page.rules import encode_page
from qvl.synth_ocr.scene.chinese_regions import region_of
from qvl.synth_ocr.scene.fonts import has_raqm
from qvl.synth_ocr.scene.line_breaking import CLOSING, OPENING
from qvl.synth_ocr.scene.render import render_scene
from tests.synth_ocr.scene.scenes import CHINESE, ENGLISH_TEXT, LATIN, generator, need, stock

STILL = {
    "elastic_alpha": (0, 0), "noise_scale": (0, 0), "rgb": 0, "shadow_intensity": (0, 0), "contrast_alpha": (1, 1),
    "brightness_beta": (0, 0), "motion_blur": 0, "gaussian_blur": (0, 0),
}  # fmt: skip
NOTO = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
TRADITIONAL_TEXT = "我們在圖書館裡學習漢語，這是一個關於國家與語言的問題。" * 60


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["grid_stack", "columns", "table", "sign", "form"])
def test_scene_of_every_layout_has_sound_quads_on_ink(tmp_path: Path, language: str, kind: str) -> None:
    page = render_scene(stock(tmp_path, language, kind), generator(3))
    height, width, _ = page.image.shape
    assert page.lines and page.unlabelled_ink < 0.05
    for line in page.lines:
        assert is_sound(line.quad) and line.ink_share > 0.03 and line.contrast > 24
        assert line.quad.min() > -1 and line.quad[:, 0].max() < width + 1 and line.quad[:, 1].max() < height + 1
        assert line.agreement > 0.7


def test_scene_when_seeds_are_equal_has_equal_bytes_and_otherwise_different_ones(tmp_path: Path) -> None:
    material = stock(tmp_path, "en")
    first, again, other = (
        encode_page("k", render_scene(material, generator(i)), material.rules).jpeg for i in (1, 1, 2)
    )
    assert first == again != other


def test_scene_words_are_whole_words_of_the_text(tmp_path: Path) -> None:
    material = stock(tmp_path, "en")
    whole = set(ENGLISH_TEXT.split())
    for index in range(4):
        for line in render_scene(material, generator(index)).lines:
            assert set(line.text.split(" ")) <= whole
            assert [word.text for word in line.words] == line.text.split(" ")


def test_scene_when_chinese_breaks_lines_by_the_rules_and_has_no_blanks(tmp_path: Path) -> None:
    material = stock(tmp_path, "zh", "columns")
    lines = [line.text for index in range(3) for line in render_scene(material, generator(index)).lines]
    assert len(lines) > 20
    for text in lines:
        assert text[0] not in CLOSING and text[-1] not in OPENING
        assert " " not in text
        assert text.count("P") == text.count("Python")


def test_scene_when_vertical_has_upright_characters_and_starts_at_the_top(tmp_path: Path) -> None:
    if not has_raqm():
        pytest.skip("Pillow has no raqm: vertical forms are missing")
    page = render_scene(stock(tmp_path, "zh", "vertical"), generator(5))
    assert page.lines
    for line in page.lines:
        along, down = line.quad[1] - line.quad[0], line.quad[3] - line.quad[0]
        assert np.hypot(*down) > np.hypot(*along) or len(line.text) < 2
        assert line.quad[0][1] < line.quad[3][1]


def test_scenes_of_different_seeds_place_their_documents_differently(tmp_path: Path) -> None:
    material = stock(tmp_path, "en", canvas={"fullscreen": 0})
    first, second = (render_scene(material, generator(index)).lines[0].quad for index in (1, 2))
    assert np.abs(first - second).max() > 5


def test_scene_when_blurred_loses_the_lines_that_became_illegible(tmp_path: Path) -> None:
    sharp = render_scene(stock(tmp_path, "en", effects={"gaussian_blur": (0, 0)}), generator(2))
    dim = render_scene(stock(tmp_path, "en", effects={"gaussian_blur": (14, 14)}), generator(2))
    assert sharp.lines and len(dim.lines) < len(sharp.lines)
    assert dim.lost["faint"] >= len(sharp.lines) - len(dim.lines)
    assert dim.unlabelled_ink > sharp.unlabelled_ink


def test_scene_when_a_font_lacks_words_counts_them_by_font(tmp_path: Path) -> None:
    (tmp_path / "both.txt").write_text("some words 中文 and more 字 " * 400)
    texts = [{"texts": [str(tmp_path / "both.txt")]}]
    material = stock(tmp_path, "en", fonts=[{"fonts": [LATIN, need(CHINESE)]}], corpora=texts)
    notes = [render_scene(material, generator(index)).notes for index in range(4)]
    requested = sum(each.asked.get("DejaVuSans.ttf:0", 0) for each in notes if each)
    assert 0 < sum(each.lacking.get("DejaVuSans.ttf:0", 0) for each in notes if each) <= requested


def test_scene_when_a_form_has_sound_quads_in_both_languages(tmp_path: Path) -> None:
    for language in ("en", "zh"):
        for index in range(3):
            for line in render_scene(stock(tmp_path, language, "form"), generator(index)).lines:
                assert is_sound(line.quad) and is_sound(line.layout) and all(is_sound(word.quad) for word in line.words)


def test_scene_when_text_is_traditional_uses_traditional_faces_or_is_rejected(tmp_path: Path) -> None:
    material = stock(tmp_path, "zh", fonts=[{"fonts": [need(NOTO)]}])
    assert render_scene(material, generator(1)).fonts == ["NotoSansCJK-Regular.ttc:2"]
    (tmp_path / "traditional.txt").write_text(TRADITIONAL_TEXT)
    texts = [{"texts": [str(tmp_path / "traditional.txt")]}]
    page = render_scene(stock(tmp_path, "zh", fonts=[{"fonts": [NOTO]}], corpora=texts), generator(1))
    assert page.fonts == ["NotoSansCJK-Regular.ttc:3"] and region_of(page.text) == "traditional"
    with pytest.raises(PageRejected, match="no_traditional_font"):
        render_scene(stock(tmp_path, "zh", fonts=[{"fonts": [LATIN]}], corpora=texts), generator(1))
