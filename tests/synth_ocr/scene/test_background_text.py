"""Text in background photographs."""

from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from qvl.synth_ocr.page.tesseract import tesseract_version
from qvl.synth_ocr.scene.background_text import surest_word
from tests.synth_ocr.scene.scenes import (
    LATIN,
    generator,
    need,
    stock,
)

CLOUDS = "/usr/share/backgrounds/mate/nature/Storm.jpg"
STREET = "/usr/share/doc/opencv-doc/examples/text/scenetext01.jpg"  # "DOUBLE PARKING PROHIBITED"


def needs_tesseract() -> None:
    if tesseract_version() is None:
        pytest.skip("no tesseract: sh scripts/ocr_packages.sh")


def test_surest_word_of_a_street_photograph_is_read_once_and_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_tesseract()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    surest_word.cache_clear()
    assert surest_word(need(STREET)) in ("DOUBLE", "PARKING", "PROHIBITED") and surest_word(need(CLOUDS)) == ""
    surest_word.cache_clear()
    (kept,) = (path for path in (tmp_path / "qvl").glob("legible-*") if path.read_text())
    kept.write_text("KEPT")
    assert surest_word(STREET) == "KEPT"
    surest_word.cache_clear()


def test_background_when_it_contains_text_and_the_recipe_rejects_text_is_not_picked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_tesseract()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photo = Image.open(need(CLOUDS)).resize((900, 560))
    photo.save(tmp_path / "clouds.jpg", quality=90)
    draw = ImageDraw.Draw(photo)
    draw.rectangle((230, 220, 690, 330), (20, 60, 120))
    draw.text((260, 235), "CAFETERIA", (250, 250, 240), ImageFont.truetype(LATIN, 70))
    photo.rotate(2, Image.Resampling.BICUBIC).save(tmp_path / "sign.jpg", quality=80)
    settings = {"backgrounds": [str(tmp_path / "*.jpg")], "canvas": {"fullscreen": 0}}
    material = stock(tmp_path, "en", reject_backgrounds_with_text=True, **settings)
    picks = [material.backgrounds.pick(generator(index)) for index in range(8)]
    assert {path for path, _ in picks} == {str(tmp_path / "clouds.jpg")}
    assert {hit for _, passed in picks for hit in passed} == {"sign.jpg text CAFETERIA"}
    both = [stock(tmp_path, "en", **settings).backgrounds.pick(generator(index))[0] for index in range(8)]
    assert set(both) == {str(tmp_path / "clouds.jpg"), str(tmp_path / "sign.jpg")}
