"""Image headers compared with Pillow, which decodes the files that we only read the headers of."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from qvl.pipeline.images.decode import PixelError, decode_pixels
from qvl.pipeline.images.header import MAX_BLOCKS, HeaderError, ImageHeader, read_header
from tests.pipeline.samples import encoded, jpeg, picture

SIZES = {"truncated", "too_many_blocks", "too_many_pixels"}
REASONS = {"empty", "not_an_image", "damaged_header", "format:heic", "format:jxl", "format:jpeg", *SIZES}


def frames(mode: str = "RGB") -> dict[str, object]:
    """Options to save three images in one file."""
    return {"save_all": True, "append_images": [picture(mode=mode, seed=1), picture(mode=mode, seed=2)]}


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(colour: int, depth: int, width: int = 5, height: int = 4, extra: bytes = b"") -> bytes:
    """A PNG of any colour type and depth, all zero."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    line = b"\0" + bytes(-(-width * depth * samples // 8))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(3 << depth)) if colour == 3 else b""
    body = chunk(b"IDAT", zlib.compress(line * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette + extra + body + chunk(b"IEND", b"")


FILES: dict[str, Callable[[], bytes]] = {
    "jpeg_grey": lambda: encoded(picture(mode="L"), "jpeg"),
    "jpeg_rgb": lambda: encoded(picture(), "jpeg"),
    "jpeg_cmyk": lambda: encoded(picture(mode="CMYK"), "jpeg"),
    "jpeg_progressive": lambda: encoded(picture(), "jpeg", progressive=True),
    "jpeg_444_restarts": lambda: encoded(picture(), "jpeg", subsampling=0, restart_marker_rows=1),
    "jpeg_comment_icc": lambda: encoded(picture(), "jpeg", comment=b"c" * 9_000, icc_profile=bytes(90_000)),
    "png_grey": lambda: encoded(picture(mode="L"), "png"),
    "png_rgb": lambda: encoded(picture(), "png"),
    "png_rgba": lambda: encoded(picture(mode="RGBA"), "png"),
    "png_grey_alpha": lambda: encoded(picture(mode="LA"), "png"),
    "png_palette": lambda: encoded(picture().quantize(16), "png"),
    "png_optimised": lambda: encoded(picture(), "png", optimize=True),
    "png_animated": lambda: encoded(picture(), "png", **frames()),
    "webp_lossy": lambda: encoded(picture(), "webp", quality=50),
    "webp_lossy_alpha": lambda: encoded(picture(mode="RGBA"), "webp", quality=50),
    "webp_lossless": lambda: encoded(picture(), "webp", lossless=True),
    "webp_lossless_alpha": lambda: encoded(picture(mode="RGBA"), "webp", lossless=True),
    "webp_animated": lambda: encoded(picture(mode="RGBA"), "webp", **frames("RGBA")),
    "webp_metadata": lambda: encoded(picture(), "webp", icc_profile=bytes(500)),
    "gif": lambda: encoded(picture(mode="P"), "gif"),
    "gif_animated": lambda: encoded(picture(mode="P"), "gif", **frames("P")),
    "gif_comment": lambda: encoded(picture(mode="L"), "gif", comment=b"!\xf9\x04 ; !\xf9\x04"),
    "bmp": lambda: encoded(picture(), "bmp"),
    "bmp_grey": lambda: encoded(picture(mode="L"), "bmp"),
}


def as_pillow_sees_it(data: bytes) -> tuple[str, int, int, str, bool]:
    with Image.open(io.BytesIO(data)) as image:
        mode = {"RGBX": "RGB"}.get(image.mode, image.mode)
        return str(image.format).lower(), *image.size, mode, getattr(image, "n_frames", 1) > 1


@pytest.mark.parametrize("name", FILES)
def test_read_header_agrees_with_pillow(name: str) -> None:
    data = FILES[name]()
    found = read_header(data)
    kind, width, height, mode, animated = as_pillow_sees_it(data)
    assert (found.format, found.width, found.height, found.animated) == (kind, width, height, animated)
    if kind in ("jpeg", "png", "webp"):
        assert found.mode == mode
    assert read_header(memoryview(data)) == found


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("percent", range(0, 100, 10))
def test_read_header_when_the_file_is_truncated_raises_header_error(name: str, percent: int) -> None:
    data = FILES[name]()
    with pytest.raises(HeaderError) as caught:
        read_header(data[: len(data) * percent // 100])
    assert str(caught.value) in REASONS


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("extra", [b"\0", b"\r\n", b"<!-- html -->" * 500], ids=["nul", "newline", "6 KB"])
def test_read_header_ignores_bytes_after_the_end(name: str, extra: bytes) -> None:
    data = FILES[name]()
    assert read_header(data + extra) == read_header(data)


@pytest.mark.parametrize(
    ("colour", "depth", "mode"),
    [
        *((0, depth, "L") for depth in (1, 2, 4, 8)),
        (0, 16, "L;16"),
        (2, 8, "RGB"),
        (2, 16, "RGB;16"),
        *((3, depth, "P") for depth in (1, 2, 4, 8)),
        (4, 8, "LA"),
        (4, 16, "LA;16"),
        (6, 8, "RGBA"),
        (6, 16, "RGBA;16"),
    ],
)
def test_read_header_knows_every_png_colour_type_and_depth(colour: int, depth: int, mode: str) -> None:
    data = png(colour, depth)
    assert read_header(data) == ImageHeader("png", 5, 4, mode)
    assert as_pillow_sees_it(data)[1:3] == (5, 4)


def test_read_header_when_a_palette_has_transparency_reports_alpha() -> None:
    assert read_header(png(3, 8, extra=chunk(b"tRNS", b"\0\xff"))).mode == "PA"


def test_read_header_ignores_chunk_names_inside_other_chunks() -> None:
    text = chunk(b"tEXt", b"Comment\0tRNS acTL eXIf IEND IHDR")
    assert read_header(png(3, 8, extra=text)) == ImageHeader("png", 5, 4, "P")


def exif(orientation: int, order: str) -> bytes:
    """A TIFF block with a decoy tag before the orientation."""
    magic = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(f"{order}HHIHH", 0x0106, 3, 1, 2, 0) + struct.pack(
        f"{order}HHIHH", 0x0112, 3, 1, orientation, 0
    )
    return magic + struct.pack(f"{order}IH", 8, 2) + entries + bytes(4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_read_header_reads_the_exif_orientation(kind: str, order: str, orientation: int) -> None:
    data = encoded(picture(), kind, exif=b"Exif\0\0" + exif(orientation, order))
    found = read_header(data)
    assert (found.orientation, found.width, found.height) == (orientation, 40, 30)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x0112] == orientation


def test_read_header_finds_exif_after_a_large_profile() -> None:
    data = jpeg()
    profile = b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000)
    block = b"Exif\0\0" + exif(6, ">")
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    assert read_header(data[:2] + profile * 2 + segment + data[2:]).orientation == 6


@pytest.mark.parametrize("block", [b"", b"II", b"XX*\0", exif(0, "<"), exif(9, ">"), exif(3, "<")[:20]])
def test_read_header_when_exif_is_invalid_reports_orientation_1(block: bytes) -> None:
    data = encoded(picture(), "jpeg", exif=b"Exif\0\0" + block)
    assert read_header(data).orientation == 1


def test_read_header_does_not_take_the_end_of_a_thumbnail_for_the_end_of_the_image() -> None:
    thumbnail = b"Exif\0\0II*\0" + bytes(20) + jpeg(seed=1)
    data = encoded(picture(200, 150), "jpeg", exif=thumbnail)
    start_of_scan = data.rfind(b"\xff\xda")
    with pytest.raises(HeaderError, match="truncated"):
        read_header(data[: start_of_scan + 100])


def test_read_header_when_a_jpeg_lacks_its_end_marker_reports_truncation_as_pillow_does() -> None:
    data = jpeg()[:-2]
    with pytest.raises(HeaderError, match="truncated"):
        read_header(data)
    with Image.open(io.BytesIO(data)) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_read_header_when_a_png_claims_60000_pixels_reports_them_without_decoding() -> None:
    data = png(2, 8, 1, 1)
    bomb = data[:16] + struct.pack(">II", 60_000, 60_000) + data[24:]
    assert read_header(bomb) == ImageHeader("png", 60_000, 60_000, "RGB")


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (2**31, 5), (5, 2**32 - 1)])
def test_read_header_when_sides_are_impossible_reports_a_damaged_header(width: int, height: int) -> None:
    data = png(2, 8)
    with pytest.raises(HeaderError, match="damaged_header"):
        read_header(data[:16] + struct.pack(">II", width, height) + data[24:])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\0", "not_an_image"),
        (b"<html>404</html>", "not_an_image"),
        (b"GIF", "not_an_image"),
        (bytes(5_000), "not_an_image"),
        (b"\xff\xd8\xff", "damaged_header"),
        (b"\x89PNG\r\n\x1a\n", "damaged_header"),
        (b"RIFF\0\0\0\0WEBP", "damaged_header"),
        (b"RIFF\x20\0\0\0WEBPVP8 " + bytes(30), "damaged_header"),
        (b"GIF89a", "damaged_header"),
    ],
)
def test_read_header_when_the_bytes_are_not_an_image_gives_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(HeaderError, match=f"^{reason}$"):
        read_header(data)


MAGIC = [b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP", b"GIF89a", b"BM", b"II*\0"]


@given(st.sampled_from([b"", *MAGIC]), st.binary(max_size=200))
@example(b"RIFF\x10\0\0\0WEBP", b"VP8X" + bytes(4) + b"\x08" + bytes(20))
def test_read_header_when_bytes_are_random_gives_a_header_or_a_reason(magic: bytes, body: bytes) -> None:
    try:
        found = read_header(magic + body)
    except HeaderError as error:
        assert str(error) in REASONS
    else:
        assert 0 <= found.width < 2**31
        assert 0 <= found.height < 2**31


@given(st.sampled_from(sorted(FILES)), st.data())
def test_read_header_when_a_byte_changes_gives_a_header_or_a_reason(name: str, data: st.DataObject) -> None:
    whole = bytearray(FILES[name]())
    at = data.draw(st.integers(0, min(len(whole) - 1, 1_500)))
    whole[at] = data.draw(st.integers(0, 255))
    try:
        read_header(bytes(whole))
    except HeaderError as error:
        assert str(error) in REASONS


TOO_MANY = MAX_BLOCKS + 10
SWOLLEN: dict[str, Callable[[], bytes]] = {
    "jpeg_fill_bytes": lambda: b"\xff\xd8\xff" + b"\xff" * TOO_MANY,
    "jpeg_empty_segments": lambda: b"\xff\xd8" + b"\xff\xfe\x00\x02" * TOO_MANY,
    "png_empty_chunks": lambda: png(2, 8)[:33] + (bytes(4) + b"aaAa" + bytes(4)) * TOO_MANY,
    "gif_small_blocks": lambda: encoded(picture(mode="L"), "gif")[:-1] + b"!\xfe" + b"\x01x" * TOO_MANY + b"\0;",
    "webp_empty_chunks": lambda: b"".join(
        [b"RIFF", struct.pack("<I", 22 + 8 * TOO_MANY), b"WEBPVP8X", struct.pack("<I", 10), b"\x08", bytes(9)]
        + [b"ABCD" + bytes(4)] * TOO_MANY
    ),
}


@pytest.mark.parametrize("name", SWOLLEN)
def test_header_when_a_file_has_millions_of_blocks_is_given_up(name: str) -> None:
    with pytest.raises(HeaderError, match="too_many_blocks"):
        read_header(SWOLLEN[name]())


def test_header_when_segments_are_padded_with_fill_bytes_is_read() -> None:
    data = encoded(picture(), "jpeg")
    assert read_header(data[:2] + b"\xff" * 5_000 + data[2:]) == read_header(data)


@pytest.mark.parametrize("stray", [b"\0", b"\x01\x02\x03", b"\xff\0\xff\0", b"\0" * 10_000, b"\xff\xff\0\xff"])
@pytest.mark.parametrize("at", ["before the first table", "before the scan"])
def test_read_header_when_stray_bytes_are_between_segments_reads_what_the_decoder_reads(stray: bytes, at: str) -> None:
    data = jpeg(3)
    position = data.index(b"\xff\xdb" if at == "before the first table" else b"\xff\xda")
    odd = data[:position] + stray + data[position:]
    assert read_header(odd) == read_header(data)
    assert decode_pixels(odd).tobytes() == np.asarray(Image.open(io.BytesIO(data))).tobytes()
    with pytest.raises(HeaderError, match="truncated"):
        read_header(odd[:-200])


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


UNDECODABLE = {
    "jpeg of 12 bits": changed(jpeg(0), jpeg(0).index(b"\xff\xc0") + 4, b"\x0c"),
    "hierarchical jpeg": changed(jpeg(0), jpeg(0).index(b"\xff\xc0"), b"\xff\xc5"),
    "palette of 16 bits": png(3, 16),
    "bmp of a jpeg": changed(encoded(picture(), "bmp"), 30, b"\4"),
    "bmp of 7 bits": changed(encoded(picture(), "bmp"), 28, b"\7"),
}


@pytest.mark.parametrize("name", UNDECODABLE)
def test_read_header_when_the_decoder_does_not_read_this_kind_refuses_it(name: str) -> None:
    with pytest.raises(HeaderError):
        read_header(UNDECODABLE[name])
    with pytest.raises(PixelError):
        decode_pixels(UNDECODABLE[name])
