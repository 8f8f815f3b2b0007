"""Images inside a page, with outlines over them."""

import base64
import io
import re

from PIL import Image

from qvl.pipeline.html.pictures import Shape, data_uri, framed


def test_a_data_uri_holds_the_image() -> None:
    head, _, body = data_uri(Image.new("RGB", (5, 3), "red"), "WEBP", 90).partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert image.size == (5, 3) and image.format == "WEBP"


def test_outlines_are_drawn_inside_the_picture() -> None:
    image = Image.new("RGB", (5, 3))
    shown = framed(image, "JPEG", 80, [Shape((-0.5, 0.1, 0.9, 1.5), "truth"), Shape((0.0, 0.0, 1.0, 1.0), "answered")])
    assert re.findall(r'<polygon class="(\w+)" points="([^"]*)">', shown) == [
        ("truth", "0.0000,0.1000 0.9000,1.0000"),
        ("answered", "0.0000,0.0000 1.0000,1.0000"),
    ]
    assert "<svg" not in framed(image, "JPEG", 80) and 'width="5" height="3"' in shown
