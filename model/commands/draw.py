"""Draw the boxes of an answer on its image (reference section 16: a coordinate v means v / 999 of the side).

Used only by `qvl model chat`. Data is written and parsed by the pipeline's markup room, which this package does not import
because it must also work on its own.
"""

import re
from dataclasses import dataclass

from PIL import Image, ImageDraw

GRID = 999
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")

_TAGGED = re.compile(r"<ref>(?P<phrase>.*?)</ref>|<(?P<kind>box|quad)>(?P<points>[^<]*)</(?:box|quad)>", re.DOTALL)
_POINT = re.compile(r"\(\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\)")


@dataclass(frozen=True)
class Region:
    """A phrase and the corners of its box or quad as fractions of the image's width and height."""

    phrase: str
    corners: tuple[tuple[float, float], ...]


def find_regions(answer: str) -> list[Region]:
    """Boxes (2 points) and quads (4 points) of an answer, each with the phrase before it; malformed ones are skipped."""
    regions, phrase = [], ""
    for match in _TAGGED.finditer(answer):
        if match["phrase"] is not None:
            phrase = match["phrase"].strip()
            continue
        points = [(min(int(x), GRID) / GRID, min(int(y), GRID) / GRID) for x, y in _POINT.findall(match["points"])]
        if match["kind"] == "box" and len(points) == 2:
            (x1, y1), (x2, y2) = points
            points = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
        if len(points) == 4:
            regions.append(Region(phrase, tuple(points)))
    return regions


def draw_regions(image: Image.Image, regions: list[Region]) -> Image.Image:
    """A copy of the image with every region outlined in its phrase's colour and labelled with the phrase."""
    picture = image.convert("RGB")
    pen = ImageDraw.Draw(picture)
    phrases = list(dict.fromkeys(region.phrase for region in regions))
    line = max(2, round(min(picture.size) / 150))
    for region in regions:
        colour = COLOURS[phrases.index(region.phrase) % len(COLOURS)]
        corners = [(x * picture.width, y * picture.height) for x, y in region.corners]
        pen.line([*corners, corners[0]], fill=colour, width=line, joint="curve")
        label = region.phrase.encode("latin-1", "replace").decode("latin-1")
        if label:
            left, top = corners[0]
            box = pen.textbbox((left + line, max(0, top - 14)), label)
            pen.rectangle(box, fill=colour)
            pen.text(box[:2], label, fill="white")
    return picture
