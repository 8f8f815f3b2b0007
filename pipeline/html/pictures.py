"""Pictures inside a page: images as data URIs, with outlines drawn over them."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from qvl.pipeline.html.elements import Html, join, tag

PALETTE = 8  # classes .c0 to .c7 of the style sheet

Outline = Literal["asked", "truth", "answered"]


@dataclass(frozen=True, slots=True)
class Shape:
    """A polygon over a picture: corners x1, y1, x2, y2, ... as fractions of its sides."""

    corners: Sequence[float]
    kind: Outline


def data_uri(image: Image.Image, kind: Literal["JPEG", "WEBP"], quality: int) -> str:
    """The image, encoded, as the source of an ``img`` element."""
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def framed(image: Image.Image, kind: Literal["JPEG", "WEBP"], quality: int, shapes: Iterable[Shape] = ()) -> Html:
    """An image with shapes drawn over it."""
    sides = {"width": str(image.width), "height": str(image.height)}
    source = {"src": data_uri(image, kind, quality), "alt": "", "loading": "lazy", **sides}
    polygons = [_polygon(shape) for shape in shapes]
    attributes = {"viewBox": "0 0 1 1", "preserveAspectRatio": "none", "aria-hidden": "true"}
    drawing = tag("svg", *polygons, attributes=attributes) if polygons else join([])
    return tag("div.frame", tag("img", attributes=source), drawing)


def _polygon(shape: Shape) -> Html:
    clamped = [min(1.0, max(0.0, value)) for value in shape.corners]
    points = " ".join(f"{x:.4f},{y:.4f}" for x, y in zip(clamped[::2], clamped[1::2], strict=True))
    return tag(f"polygon.{shape.kind}", attributes={"points": points})
