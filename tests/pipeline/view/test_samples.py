"""Samples in shards, as cards show them."""

from pathlib import Path
from typing import Any

from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.view import samples
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.queries import keys

Curated = tuple[Path, Recipe]


def test_a_card_of_a_sample_has_its_words_and_its_outlines(curated: Curated, output: Output, cursor: Any) -> None:
    found = keys(output.query(cursor, "samples", []), None, False, 0)
    shown = samples.previews(cursor, found)
    assert set(shown) == set(found)
    first = samples.content(samples.by_key(cursor, found[0]))
    prompt, answer = (turn["text"] for turn in first["turns"])
    assert shown[found[0]] == {"_text": f"{prompt.removeprefix('<img>0</img>')} → {answer.strip()}", "_shapes": []}
