"""The page of a mixture with hostile names."""

from dataclasses import replace
from pathlib import Path

from qvl.pipeline.markup.turns import caption_turns
from qvl.training.data.datasets import open_all
from qvl.training.data.encode import Rule
from qvl.training.pages.mix.page import page
from qvl.training.pages.mix.stats import dataset_stats
from qvl.training.pages.mix.tokens import TokenCounting
from tests.training.made import picture, sample, write_dataset


def test_page_when_names_are_hostile_escapes_them(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    row = sample("x-1", "caption", caption_turns("a", "en"), [picture(1)])
    row = replace(row, record=replace(row.record, source=bad))
    stats = dataset_stats(
        bad, open_all({bad: str(write_dataset(tmp_path, "d", [row]))}), TokenCounting(None, Rule(256, 16), 1000)
    )
    text = page(stats)
    assert bad not in text and "&lt;script&gt;" in text and text.count("<script>") == 1
