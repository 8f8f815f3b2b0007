"""Pixels as in the release, and images that are not plain RGB."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qvl.model.network.errors import ModelError
from qvl.model.network.image_processor import CLIP_MEAN, CLIP_STD, QwenVLImageProcessor, to_rgb


def plain_pixels(image: Image.Image, side: int) -> np.ndarray:
    """What torchvision's Resize, ToTensor and Normalize do to an RGB image, pixel by pixel."""
    small = image.resize((side, side), Image.Resampling.BICUBIC)
    out = np.zeros((3, side, side))
    for y in range(side):
        for x in range(side):
            for channel, value in enumerate(small.getpixel((x, y))):
                out[channel, y, x] = (value / 255 - CLIP_MEAN[channel]) / CLIP_STD[channel]
    return out


def photo(width: int = 61, height: int = 37) -> Image.Image:
    generator = np.random.default_rng(5)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_pixels_equal_those_of_torchvision() -> None:
    got = QwenVLImageProcessor(28).pixels(photo())
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, plain_pixels(photo(), 28), atol=1e-6)


def test_wide_image_is_resized_not_cropped() -> None:
    image = Image.new("RGB", (200, 20), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 100, 20))
    pixels = QwenVLImageProcessor(28).pixels(image)
    assert pixels[0, 14, 2] > 1
    assert pixels[0, 14, 25] < -1


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "YCbCr", "LA", "RGBA", "I;16"])
def test_images_of_every_mode_give_pixels(mode: str) -> None:
    base = photo().convert("L") if mode == "I;16" else photo()
    image = Image.fromarray(np.asarray(base).astype(np.uint16) * 257) if mode == "I;16" else base.convert(mode)
    assert image.mode == mode
    assert QwenVLImageProcessor(28).pixels(image).shape == (3, 28, 28)


def test_grey_and_16_bit_images_keep_their_brightness() -> None:
    grey = photo().convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    np.testing.assert_array_equal(np.asarray(to_rgb(deep)), np.asarray(to_rgb(grey)))
    np.testing.assert_array_equal(np.asarray(to_rgb(grey))[..., 1], np.asarray(grey))


def test_transparent_pixels_are_composited_on_white() -> None:
    """Black text on a transparent page must not become a black page."""
    page = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    page.putpixel((1, 1), (0, 0, 0, 255))
    rgb = to_rgb(page)
    assert rgb.getpixel((0, 0)) == (255, 255, 255)
    assert rgb.getpixel((1, 1)) == (0, 0, 0)
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.info["transparency"] = 0
    palette.putpixel((1, 0), 1)
    assert [to_rgb(palette).getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (9, 9, 9)]


def test_image_of_one_pixel_is_enlarged() -> None:
    pixels = QwenVLImageProcessor(28).pixels(Image.new("RGB", (1, 1), (255, 0, 0)))
    assert float(np.ptp(pixels[0])) == 0
    assert float(pixels[0, 0, 0]) == pytest.approx((1 - CLIP_MEAN[0]) / CLIP_STD[0], abs=1e-6)


def test_arrays_and_paths_give_the_same_pixels_as_images(tmp_path: Path) -> None:
    photo().save(tmp_path / "x.png")
    process = QwenVLImageProcessor(28)
    wanted = process.pixels(photo())
    for image in (np.asarray(photo()), tmp_path / "x.png", str(tmp_path / "x.png")):
        np.testing.assert_array_equal(process.pixels(image), wanted)
    batch = process([[photo()], [photo(), photo()]], return_tensors="pt")
    assert batch["pixel_values"].shape == (3, 3, 28, 28)


def test_to_rgb_raises_when_the_input_is_not_an_image(tmp_path: Path) -> None:
    process = QwenVLImageProcessor(28)
    (tmp_path / "x.png").write_text("no")
    with pytest.raises(ModelError, match=r"x\.png"):
        process.pixels(tmp_path / "x.png")
    buffer = io.BytesIO()
    photo().save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:300])
    with pytest.raises(ModelError, match=r"cut\.jpg"):
        process.pixels(tmp_path / "cut.jpg")
    with pytest.raises(ModelError, match="float"):
        process.pixels(Image.new("F", (3, 3)))
    with pytest.raises(ModelError, match="uint8"):
        process.pixels(np.zeros((3, 4, 4), np.float32))
