"""Boxes of an answer are found and drawn."""

import pytest
from PIL import Image

from qvl.model.commands.draw import draw_regions, find_regions


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("<ref> cat</ref><box>(0,0),(999,999)</box>", [("cat", ((0, 0), (1, 0), (1, 1), (0, 1)))]),
        ("<box>(999,0),(0,999)</box>", [("", ((1, 0), (0, 0), (0, 1), (1, 1)))]),
        ("<quad>(0,0), (999,0), (999,999), (0,999)</quad>", [("", ((0, 0), (1, 0), (1, 1), (0, 1)))]),
        ("<ref>a</ref><box>(0,0)</box><box>(0,x),(1,2)</box>", []),
        ("no markup", []),
    ],
)
def test_find_regions_reads_boxes_and_quads(
    answer: str, expected: list[tuple[str, tuple[tuple[float, float], ...]]]
) -> None:
    assert [(region.phrase, region.corners) for region in find_regions(answer)] == expected


def test_draw_regions_gives_boxes_of_one_phrase_one_colour() -> None:
    regions = find_regions("<ref>猫</ref><box>(0,0),(300,999)</box><box>(600,0),(999,999)</box>")
    assert [region.phrase for region in regions] == ["猫", "猫"]
    picture = draw_regions(Image.new("RGB", (300, 300), "white"), regions)
    assert picture.getpixel((90, 200)) == picture.getpixel((180, 200)) != (255, 255, 255)
