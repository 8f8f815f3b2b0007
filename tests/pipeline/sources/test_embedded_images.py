"""The image in a cell: raw bytes stay as they are, base64 is decoded, pairs of bytes and path are told apart."""

import base64
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qvl.pipeline.sources.bounded_parquet import TOO_LARGE
from qvl.pipeline.sources.embedded_images import EmbeddedImage, embedded_image
from tests.pipeline.samples import jpeg

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF"]


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_of_every_format_is_kept_as_it_is_and_found_in_base64(kind: str) -> None:
    data = encoded(kind)
    plain, url_safe = base64.b64encode(data), base64.urlsafe_b64encode(data)
    forms: list[Any] = [data, plain, plain.decode(), url_safe, plain.rstrip(b"="), base64.encodebytes(data)]
    forms.append(f"data:image/{kind.lower()};base64,{plain.decode()}")
    for form in forms:
        assert embedded_image(form) == EmbeddedImage(data)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, EmbeddedImage()),
        ("", EmbeddedImage()),
        ("text", EmbeddedImage()),
        (5, EmbeddedImage()),
        (b"0", EmbeddedImage(b"0")),
        ({"bytes": None, "path": "a.jpg"}, EmbeddedImage(path="a.jpg")),
        ({"bytes": b"\xff\xd8", "path": b"a.jpg"}, EmbeddedImage(b"\xff\xd8", "a.jpg")),
        ({"bytes": None, "path": None}, EmbeddedImage()),
        (TOO_LARGE, EmbeddedImage(fault="unreadable:too_large")),
        ("data:image/png,%89PNG", EmbeddedImage(fault="unreadable:bad_base64")),
    ],
)
def test_other_cells_are_what_they_say(value: Any, found: EmbeddedImage) -> None:
    assert embedded_image(value) == found


@given(st.binary(max_size=200))
def test_any_bytes_round_trip_through_a_data_url(data: bytes) -> None:
    found = embedded_image("data:image/jpeg;base64," + base64.b64encode(data).decode())
    assert found.data == data


def test_text_that_only_looks_like_base64_has_a_fault() -> None:
    assert embedded_image("A" * 41) == EmbeddedImage(fault="unreadable:bad_base64")
    assert embedded_image(jpeg(1)).data == jpeg(1)
