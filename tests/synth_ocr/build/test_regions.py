"""Regions of OCR samples."""

import orjson

from qvl.pipeline.commit.records import decode
from qvl.pipeline.markup.regions import Region
from qvl.synth_ocr.build.regions import page_regions
from tests.synth_ocr.page.pages import line, page


def test_regions_have_ink_layout_order_and_parents() -> None:
    found = page_regions(page(line("first", 0), line("second", 30), line("third", 200)), 1000, 1000)
    levels = [region.level for region in found]
    assert levels == ["line"] * 3 + ["word"] * 3 + ["paragraph"] * 2
    assert [region.order for region in found] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [found[-1 if region.parent is None else region.parent].phrase for region in found[:3]] == [
        "first\nsecond",
        "first\nsecond",
        "third",
    ]
    assert found[0].layout is not None and found[0].quad is not None
    assert found[0].layout[5] > found[0].quad[5]
    assert found[6].quad == (0.01, 0.0, 0.058, 0.0, 0.058, 0.05, 0.01, 0.05)


def test_region_content_has_the_keys_of_its_level_and_decodes_to_the_same_region() -> None:
    regions = page_regions(page(line("first", 0)), 1000, 1000)
    keys = [list(region.stated()) for region in regions]
    assert keys == [
        ["phrase", "image", "quad", "level", "order", "parent", "layout", "ink_share", "contrast", "pixel_height"],
        ["phrase", "image", "quad", "level", "order", "parent"],
        ["phrase", "image", "quad", "level", "order"],
    ]
    assert [decode(Region, orjson.dumps(region.stated()), "sample") for region in regions] == regions
