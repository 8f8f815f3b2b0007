"""Pages read back from shards."""

from pathlib import Path

from qvl.synth_ocr.build.gallery import pick_pages
from tests.synth_ocr.build.documents import recipe, run


def test_packed_page_has_regions_of_three_levels_with_parents(tmp_path: Path, documents: Path) -> None:
    from qvl.pipeline.commit.layout import Layout

    dataset = run(recipe(documents), tmp_path)
    for shown in pick_pages(Layout(tmp_path), dataset):
        levels = {region.level for region in shown.regions}
        assert levels == {"line", "word", "paragraph"}
        for region in shown.regions:
            assert region.quad is not None and all(0 <= value <= 1 for value in region.quad)
            if region.level != "paragraph":
                assert region.parent is not None
                parent = shown.regions[region.parent]
                assert parent.level == ("line" if region.level == "word" else "paragraph")
