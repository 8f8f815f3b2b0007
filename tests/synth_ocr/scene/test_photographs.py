"""Photographs behind scenes: of any mode, and none of a benchmark."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.exclusion.exclusion import Exclusion
from qvl.synth_ocr.scene.photographs import Backgrounds, read_photograph
from qvl.synth_ocr.scene.render import render_scene
from tests.synth_ocr.scene.scenes import (
    generator,
    noise_picture,
    stock,
)


def picture(mode: str, size: tuple[int, int] = (40, 20), **options: object) -> bytes:
    colours: dict[str, object] = {"I;16": 40_000, "LA": (200, 0), "RGBA": (10, 200, 10, 0), "CMYK": (0, 255, 255, 0)}
    image = Image.new(mode, size, colours.get(mode, 200 if mode in ("L", "P") else (200, 30, 30)))  # type: ignore[arg-type]
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG" if mode in ("P", "LA", "RGBA") else "JPEG"
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_photograph_of_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(picture(mode))
    pixels = read_photograph(str(path))
    assert pixels.shape == (20, 40, 3) and pixels.dtype == np.uint8
    if mode in ("LA", "RGBA"):
        assert pixels.min() == 255  # transparent over white
    if mode == "CMYK":
        assert pixels[..., 0].mean() > 200 > pixels[..., 1].mean()
    if mode == "I;16":
        assert abs(int(pixels.mean()) - 40_000 // 256) <= 1


def test_photograph_when_exif_says_so_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.jpg").write_bytes(picture("RGB", exif=exif))
    assert read_photograph(str(tmp_path / "turned.jpg")).shape == (40, 20, 3)


def test_background_when_on_the_exclusion_list_is_never_picked(tmp_path: Path) -> None:
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


def test_scene_when_the_recipe_names_an_exclusion_list_notes_its_hits(tmp_path: Path) -> None:
    for seed, name in enumerate(("000000000042.jpg", "free.jpg")):
        (tmp_path / name).write_bytes(noise_picture(seed))
    excluded = Exclusion()
    excluded.add_ids("refcoco", ["coco:42"])
    excluded.write(tmp_path / "list.parquet")
    material = stock(tmp_path, "en", backgrounds=[str(tmp_path / "*.jpg")], exclude=str(tmp_path / "list.parquet"))
    hits = [hit for index in range(6) for hit in render_scene(material, generator(index)).notes.excluded_backgrounds]
    assert hits and set(hits) == {"000000000042.jpg leak:id refcoco"}
