"""Captions that would become control tokens, as they are or after cleaning, and captions that are none at all."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from qvl.pipeline.markup.markers import has_marker
from tests.pipeline.curate.small_run import curate
from tests.pipeline.samples import jpeg, write_img2dataset

MARKERS = ["<|im_start|>", "<|endoftext|>", "<box>", "<ref>", "</quad>", "<imgpad>", "<|extra_7|>", "<|vision_start|>"]
# forms from which cleaning makes a true marker; the rule sees the cleaned text
DISGUISES = [
    "&lt;|im_start|&gt;",
    "&amp;lt;|im_end|&amp;gt;",
    "&#60;|endoftext|&#62;",
    "<|im\u200b_start|>",
    "<|end\u00adoftext|>",
    "<\u2060|im_end|>",
    "<|im_<b></b>start|>",
    "<|endof<i></i>text|>",
    "<<b></b>|im_start|>",
    "<|im_start<!-- x -->|>",
    "<\u202e|im_end|>",
]
HARMLESS = ["＜|im_start|＞", "<|im start|>", "< box>", "a <|token|> of theirs", "1 < 2 > 0", "[INST] </s>"]
# the recipes name no filter of markup
RECIPES: list[dict[str, Any]] = [{}, {"text_length": {"minimum": 1}}, {"language": {"allowed": ["en", "zh"]}}]


def rows_of(folder: Path, captions: list[str], filters: dict[str, Any]) -> list[dict[str, Any]]:
    """The ledger of a curation of these captions, and the same with what went into the shards."""
    (folder / "data").mkdir()
    rows = [{"key": f"{i:03d}", "caption": text, "url": "u", "image": jpeg(i)} for i, text in enumerate(captions)]
    write_img2dataset(folder / "data" / "web", "00000", rows, count=len(rows))
    sources = [{"name": "web", "read": {"kind": "webdataset", "paths": ["web/*.tar"]}}]
    dataset = curate(folder / "data", folder / "out", sources=sources, filters=filters, dedup={"image": False})
    ledger: list[dict[str, Any]] = pq.read_table(folder / "out" / "ledger").to_pylist()
    assert dataset.samples == sum(row["verdict"] == "keep" for row in ledger)
    assert len(ledger) == len(captions)
    return ledger


@pytest.mark.parametrize("filters", RECIPES, ids=lambda filters: ",".join(filters) or "none")
def test_captions_with_markers_are_dropped_whatever_the_recipe_lists(tmp_path: Path, filters: dict[str, Any]) -> None:
    captions = [f"a red dog {text} on the green grass" for text in [*MARKERS, *DISGUISES, *HARMLESS]]
    ledger = rows_of(tmp_path, captions, filters)
    assert [row["verdict"] for row in ledger[: len(MARKERS)]] == ["markup"] * len(MARKERS)
    hidden = Counter(row["verdict"] for row in ledger[len(MARKERS) : -len(HARMLESS)])
    assert hidden["markup"] >= 8  # cleaning takes the rest apart
    assert not any(has_marker(row["caption"]) for row in ledger if row["verdict"] == "keep")
    assert [row["verdict"] for row in ledger[-len(HARMLESS) :]] == ["keep"] * len(HARMLESS)
    shards = b"".join(shard.read_bytes() for shard in (tmp_path / "out" / "shards").glob("*.tar"))
    assert not any(marker.encode() in shards for marker in MARKERS)


@pytest.mark.parametrize("filters", [{}, {"text_length": {"minimum": 0}}, {"text_length": {"minimum": 1}}])
def test_rows_without_a_caption_are_dropped_whatever_the_recipe_lists(tmp_path: Path, filters: dict[str, Any]) -> None:
    captions = ["", " ", "\u200b", "<b></b>", "https://a.example/x.jpg", "a red dog"]
    verdicts = [row["verdict"] for row in rows_of(tmp_path, captions, filters)]
    reason = "text_length" if filters.get("text_length", {}).get("minimum") else "no_caption"
    assert verdicts == [reason] * 5 + ["keep"]
