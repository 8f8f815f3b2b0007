"""Drafts: dropped rows account for their boxes, phrases become the samples that a recipe asks for."""

import pytest

from qvl.grounding_builder.drafts.drafts import Draft, both_ways
from qvl.grounding_builder.sources.grit import Grit

LEFT, RIGHT = (0.1, 0.2, 0.3, 0.4), (0.5, 0.2, 0.7, 0.4)


def test_drop_gives_a_reason_to_every_box_that_has_none() -> None:
    draft = Draft("k", regions=3, lost=["box:outside"], items=both_ways("a fox", [LEFT], "en", ("referring",)))
    assert draft.drop("leak:id") is draft
    assert (draft.verdict, draft.items, draft.lost) == ("leak:id", [], ["box:outside", "leak:id", "leak:id"])


def test_both_ways_gives_one_referring_sample_and_a_region_caption_per_box() -> None:
    items = both_ways("a fox", [LEFT, RIGHT], "en", ("referring", "region_caption"))
    assert [(item.task, len(item.regions)) for item in items] == [
        ("referring", 2),
        ("region_caption", 1),
        ("region_caption", 1),
    ]
    assert both_ways("a fox", [LEFT], "en", ("vqa",)) == []


@pytest.mark.parametrize(
    ("markup", "text", "expected"),
    [("drop", " a\n fox ", "a fox"), ("drop", "a <box>", None), ("escape", "a <box>", "a < box>")],
)
def test_plain_gives_one_safe_line_or_none(markup: str, text: str, expected: str | None) -> None:
    source = Grit.model_validate({"name": "grit", "paths": ["x"], "markup": markup})
    assert source.plain(text) == expected
