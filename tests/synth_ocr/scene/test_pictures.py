"""Photographs behind scenes: of every mode, none of a benchmark's, none with text where the recipe asks."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import xxhash
from PIL import Image, ImageDraw, ImageFont

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.synth_ocr.page.reading import tesseract
from qvl.synth_ocr.scene.legible import legible
from qvl.synth_ocr.scene.pictures import Backgrounds, photograph
from qvl.synth_ocr.scene.render import scene
from qvl.synth_ocr.scene.source import Scene
from tests.synth_ocr.scene.test_render import LATIN, generator, need, stock


def picture(mode: str, size: tuple[int, int] = (40, 20), **options: object) -> bytes:
    colours: dict[str, object] = {"I;16": 40_000, "LA": (200, 0), "RGBA": (10, 200, 10, 0), "CMYK": (0, 255, 255, 0)}
    image = Image.new(mode, size, colours.get(mode, 200 if mode in ("L", "P") else (200, 30, 30)))  # type: ignore[arg-type]
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG" if mode in ("P", "LA", "RGBA") else "JPEG"
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_photographs_of_every_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(picture(mode))
    pixels = photograph(str(path))
    assert pixels.shape == (20, 40, 3) and pixels.dtype == np.uint8
    if mode in ("LA", "RGBA"):
        assert pixels.min() == 255  # transparent over white
    if mode == "CMYK":
        assert pixels[..., 0].mean() > 200 > pixels[..., 1].mean()
    if mode == "I;16":
        assert abs(int(pixels.mean()) - 40_000 // 256) <= 1


def test_photographs_are_turned_by_their_exif_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.jpg").write_bytes(picture("RGB", exif=exif))
    assert photograph(str(tmp_path / "turned.jpg")).shape == (40, 20, 3)


def noise_picture(seed: int) -> bytes:
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    target = BytesIO()
    Image.fromarray(small).resize((270, 270)).save(target, "JPEG", quality=92)
    return target.getvalue()


def test_a_benchmark_image_is_never_a_background(tmp_path: Path) -> None:
    names = ("000000000042.jpg", "000000000043.jpg", "000000000044.jpg", "free.jpg")
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(noise_picture(seed))
    smaller = BytesIO()
    Image.open(BytesIO(noise_picture(2))).resize((200, 200)).save(smaller, "PNG")
    excluded = Exclusion()
    excluded.add_ids("refcoco", ["coco:42"])
    excluded.add_image("textvqa", noise_picture(1))
    excluded.add_image("docvqa", smaller.getvalue())
    photographs = Backgrounds([str(tmp_path / name) for name in names], excluded)
    assert [photographs.hit(str(tmp_path / name)) for name in names] == [
        f"{names[0]} leak:id refcoco", f"{names[1]} leak:bytes textvqa", f"{names[2]} leak:perceptual docvqa", ""
    ]  # fmt: skip
    picks = [photographs.pick(generator(index)) for index in range(12)]
    assert {path for path, _ in picks} == {str(tmp_path / "free.jpg")}
    assert any(passed for _, passed in picks)
    with pytest.raises(DataError, match="exclusion list"):
        Backgrounds([str(tmp_path / names[0])], excluded).pick(generator(0))


def test_the_recipe_takes_an_exclusion_list_and_the_page_tells_its_hits(tmp_path: Path) -> None:
    for seed, name in enumerate(("000000000042.jpg", "free.jpg")):
        (tmp_path / name).write_bytes(noise_picture(seed))
    excluded = Exclusion()
    excluded.add_ids("refcoco", ["coco:42"])
    excluded.write(tmp_path / "list.parquet")
    made = stock(tmp_path, "en", backgrounds=[str(tmp_path / "*.jpg")], exclude=str(tmp_path / "list.parquet"))
    hits = [hit for index in range(6) for hit in scene(made, generator(index)).notes.get("excluded_backgrounds", ())]
    assert hits and set(hits) == {"000000000042.jpg leak:id refcoco"}


CLOUDS = "/usr/share/backgrounds/mate/nature/Storm.jpg"
STREET = "/usr/share/doc/opencv-doc/examples/text/scenetext01.jpg"  # "DOUBLE PARKING PROHIBITED"


def needs_tesseract() -> None:
    if tesseract() is None:
        pytest.skip("no tesseract: sh scripts/ocr_packages.sh")


def test_a_word_on_a_street_photograph_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_tesseract()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    legible.cache_clear()
    assert legible(need(STREET)) in ("DOUBLE", "PARKING", "PROHIBITED") and legible(need(CLOUDS)) == ""
    legible.cache_clear()
    (kept,) = (path for path in (tmp_path / "qvl").glob("legible-*") if path.read_text())
    kept.write_text("KEPT")
    assert legible(STREET) == "KEPT"
    legible.cache_clear()


def test_photographs_with_text_are_passed_over_where_the_recipe_asks(
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
    asked = {"backgrounds": [str(tmp_path / "*.jpg")], "canvas": {"fullscreen": 0}}
    made = stock(tmp_path, "en", reject_backgrounds_with_text=True, **asked)
    picks = [made.backgrounds.pick(generator(index)) for index in range(8)]
    assert {path for path, _ in picks} == {str(tmp_path / "clouds.jpg")}
    assert {hit for _, passed in picks for hit in passed} == {"sign.jpg text CAFETERIA"}
    both = [stock(tmp_path, "en", **asked).backgrounds.pick(generator(index))[0] for index in range(8)]
    assert set(both) == {str(tmp_path / "clouds.jpg"), str(tmp_path / "sign.jpg")}


def test_equal_pictures_are_equal_parts_and_changed_ones_are_not(tmp_path: Path) -> None:
    stock(tmp_path, "en")
    (tmp_path / "a.jpg").write_bytes(noise_picture(1))
    content = {
        "language": "en", "count": 1, "fonts": [{"fonts": [LATIN]}], "corpora": [{"texts": [str(tmp_path / "en.txt")]}],
        "backgrounds": [str(tmp_path / "*.jpg")],
    }  # fmt: skip
    first = Scene.model_validate(content).common()
    assert Scene.model_validate(content).common() == first
    (tmp_path / "a.jpg").write_bytes(noise_picture(2))
    changed = Scene.model_validate(content).common()
    assert {key for key in first if first[key] != changed[key]} == {"pictures"}
    assert xxhash.xxh3_128_hexdigest(noise_picture(1)) != xxhash.xxh3_128_hexdigest(noise_picture(2))
