"""Edits that turn a real picture into a planted one: bytes of the picture -> (bytes, file suffix)."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

Edited = tuple[bytes, str]


def save(image: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as a file in memory."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def photo(data: bytes, longest: int = 360) -> Image.Image:
    """The picture without transparency, downscaled."""
    with Image.open(io.BytesIO(data)) as image:
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    scale = longest / max(flat.size)
    return flat.resize((round(flat.width * scale), round(flat.height * scale)), Image.Resampling.LANCZOS)


def small_jpeg(data: bytes) -> Edited:
    """A plain JPEG, 360 pixels long."""
    return save(photo(data), "JPEG", quality=85), ".jpg"


def thumbnail(data: bytes) -> Edited:
    """64 x 64 pixels, as PNG so that the file stays above 5 KB."""
    return save(photo(data).resize((64, 64)), "PNG"), ".png"


def strip(data: bytes) -> Edited:
    """A strip of 1050 x 210 pixels, 5:1, from the middle of the picture."""
    image = photo(data, 1050)
    top = (image.height - 210) // 2
    return save(image.crop((0, top, 1050, top + 210)), "JPEG", quality=75), ".jpg"


def cut_jpeg(data: bytes) -> Edited:
    """A JPEG that stops at 60% of its bytes."""
    whole, suffix = small_jpeg(data)
    return whole[: len(whole) * 6 // 10], suffix


def cut_png(data: bytes) -> Edited:
    """A PNG that stops at 60% of its bytes."""
    return data[: len(data) * 6 // 10], ".png"


def cut_webp(data: bytes) -> Edited:
    """A WebP that stops at 85% of its bytes (still above 5 KB)."""
    return data[: len(data) * 85 // 100], ".webp"


def error_page(data: bytes) -> Edited:
    """What a web server sends in place of a picture that is gone."""
    advice = "<p>The page that you are looking for may have been moved or removed.</p>\n" * 80
    return (
        f"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>\n{advice}</body></html>\n".encode(),
        ".jpg",
    )


def empty(data: bytes) -> Edited:
    """A file of no bytes."""
    return b"", ".jpg"


def claims_60000(data: bytes) -> Edited:
    """A PNG whose header claims 60,000 x 60,000 pixels, with a correct checksum; the rest is the real picture's."""
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:], ".png"


def jpeg_named_png(data: bytes) -> Edited:
    """A JPEG under the name of a PNG."""
    return small_jpeg(data)[0], ".png"


def cmyk(data: bytes) -> Edited:
    """A JPEG with four inks, as from print shops."""
    return save(photo(data).convert("CMYK"), "JPEG", quality=80), ".jpg"


def palette_alpha(data: bytes) -> Edited:
    """A PNG with a palette whose entries carry transparency."""
    with Image.open(io.BytesIO(data)) as image:
        return save(image.convert("RGBA").quantize(128, Image.Quantize.FASTOCTREE), "PNG", optimize=True), ".png"


def exif_rotated(data: bytes) -> Edited:
    """A JPEG lying on its side, with the EXIF orientation (6) that puts it upright."""
    image = photo(data)
    exif = Image.Exif()
    exif[0x0112] = 6
    return save(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=85, exif=exif), ".jpg"


def png_16_bit(data: bytes) -> Edited:
    """A grey PNG with 16 bits per pixel."""
    grey = np.asarray(photo(data, 260).convert("L"), dtype=np.uint16) * np.uint16(257)
    return save(Image.fromarray(grey), "PNG"), ".png"


def animated_gif(data: bytes) -> Edited:
    """A GIF of two frames: the picture and its mirror image."""
    first = photo(data, 256).quantize(32)
    frames = [first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return save(first, "GIF", save_all=True, append_images=frames, duration=300, loop=0), ".gif"


def animated_webp(data: bytes) -> Edited:
    """A WebP of two frames: the picture and its mirror image."""
    first = photo(data, 256)
    frames = [first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return save(first, "WEBP", save_all=True, append_images=frames, duration=300, loop=0, quality=75), ".webp"


def static_gif(data: bytes) -> Edited:
    """A GIF of one frame."""
    return save(photo(data, 256).quantize(64), "GIF"), ".gif"


def bmp(data: bytes) -> Edited:
    """An uncompressed BMP with a palette."""
    return save(photo(data, 330).quantize(64), "BMP"), ".bmp"
