"""AVIF, TIFF, JPEG 2000, ICO, HEIC, JPEG XL and films, by their bytes."""

import struct

import pytest
from PIL import Image

from qvl.pipeline.images.decode import PixelError, decode_pixels
from qvl.pipeline.images.header import HeaderError, ImageHeader, read_header
from qvl.pipeline.images.rare_formats import FormatError, Measured, format_of, measure
from tests.pipeline.samples import encoded, picture

KINDS = {"avif": "avif", "tiff": "tiff", "jpeg2000": "jp2"}


def container(major: bytes, *compatible: bytes) -> bytes:
    """The beginning of a file of ISO base media: its brands, and a box of data."""
    brands = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 4 + len(brands)) + brands + struct.pack(">I4s", 408, b"mdat") + bytes(400)


@pytest.mark.parametrize(("kind", "name"), KINDS.items())
def test_a_picture_in_a_rare_format_when_read_has_its_true_size_and_can_be_decoded(kind: str, name: str) -> None:
    data = encoded(picture(40, 30), kind)
    assert read_header(memoryview(data)) == ImageHeader(name, 40, 30, "RGB")
    assert decode_pixels(data).shape == (30, 40, 3)


def test_an_icon_when_read_has_the_size_of_its_largest_picture() -> None:
    data = encoded(picture(64, 64), "ico", sizes=[(16, 16), (48, 48)])
    assert read_header(data) == ImageHeader("ico", 48, 48, "RGB")


@pytest.mark.parametrize("options", [{"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"big_tiff": True}])
def test_a_tiff_when_compressed_or_big_has_its_true_size(options: dict[str, str]) -> None:
    assert read_header(encoded(picture(40, 30), "tiff", **options)) == ImageHeader("tiff", 40, 30, "RGB")


def test_a_codestream_of_jpeg_2000_when_without_boxes_has_its_true_size() -> None:
    data = encoded(picture(40, 30), "jpeg2000", no_jp2=True)
    assert data[:2] == b"\xff\x4f"
    assert read_header(data) == ImageHeader("jp2", 40, 30, "RGB")


def test_several_pictures_of_an_avif_when_read_are_an_animation() -> None:
    data = encoded(picture(32, 32), "avif", save_all=True, append_images=[picture(32, 32, seed=1)])
    assert read_header(data).animated


def test_orientation_of_an_avif_when_stored_as_exif_is_read() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert measure(encoded(picture(40, 30), "avif", exif=exif), "avif") == Measured(40, 30, "RGB", 6, False)


@pytest.mark.parametrize(
    ("major", "compatible", "name"),
    [
        (b"avif", (b"mif1",), "avif"),
        (b"avis", (b"msf1",), "avif"),
        (b"mif1", (b"miaf", b"avif"), "avif"),
        (b"heic", (b"mif1",), "heic"),
        (b"mif1", (b"heic",), "heic"),
        (b"msf1", (b"hevc",), "heic"),
        (b"isom", (b"iso2", b"mp41"), None),
        (b"mp42", (b"isom",), None),
        (b"qt  ", (), None),
        (b"isom", (b"avif",), None),  # a film that has a still picture, too
    ],
)
def test_files_of_iso_base_media_when_named_by_their_brands(
    major: bytes, compatible: tuple[bytes, ...], name: str | None
) -> None:
    assert format_of(container(major, *compatible)) == name


def test_a_film_when_read_is_no_image() -> None:
    with pytest.raises(HeaderError, match=r"^not_an_image$"):
        read_header(container(b"isom", b"iso2", b"avc1", b"mp41"))


@pytest.mark.parametrize(("data", "name"), [(container(b"heic", b"mif1"), "heic"), (b"\xff\x0a" + bytes(50), "jxl")])
def test_a_format_that_the_loader_cannot_decode_when_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(HeaderError, match=f"^format:{name}$"):
        read_header(data)
    with pytest.raises(PixelError):
        decode_pixels(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.99])
def test_a_picture_in_a_rare_format_when_cut_off_is_damaged(kind: str, share: float) -> None:
    data = encoded(picture(64, 64), kind)
    with pytest.raises(HeaderError, match=r"truncated|damaged_header"):
        read_header(data[: int(share * len(data))])


def test_a_picture_of_too_many_pixels_when_measured_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(FormatError, match="too_many_pixels"):
        measure(encoded(picture(40, 30), "tiff"), "tiff")


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "F", "CMYK", "YCbCr", "LAB", "RGBA"])
def test_a_tiff_in_any_colours_when_its_header_is_accepted_can_be_decoded(mode: str) -> None:
    data = encoded(Image.new(mode, (40, 30)), "tiff")
    assert read_header(data).width == 40
    assert decode_pixels(data).shape == (30, 40, 3)
