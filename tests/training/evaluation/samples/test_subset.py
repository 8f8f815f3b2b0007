"""Limits and few-shot examples."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.markup import parsing
from qvl.training.evaluation.samples.shards import TASKS, find_shards, read_shards
from qvl.training.evaluation.samples.subset import limited, with_shots


def test_limited_takes_samples_of_every_set_and_every_shard(made_shards: Path) -> None:
    samples = list(read_shards(find_shards(made_shards), TASKS))
    few = limited(samples, 4, seed=3)
    assert [sample.set for sample in few].count("caption") == 4
    assert len(few) == 12
    assert {sample.images[0].path for sample in few} == {sample.images[0].path for sample in samples}
    assert few == [sample for sample in samples if sample in few]
    assert few != limited(samples, 4, seed=4)
    assert limited(samples, None, 0) == samples


def test_with_shots_never_shows_the_image_of_the_question(made_shards: Path) -> None:
    samples = list(read_shards(find_shards(made_shards), ["caption"]))
    asked = with_shots(samples, samples, 2, seed=0)
    for before, after in zip(samples, asked, strict=True):
        assert len(after.images) == 3
        assert len(set(after.images)) == 3
        assert after.images[-1] == before.images[0]
        assert after.prompt.endswith(before.prompt)
        assert after.prompt.count("Generate the caption in English: a ") == 2
    assert asked == with_shots(samples, samples, 2, seed=0)
    with pytest.raises(RecipeError, match="--shots-data"):
        with_shots(samples, samples[:1], 2, seed=0)


def test_with_shots_continues_prompts_as_training_does(grounding_shards: Path) -> None:
    samples = [each for each in read_shards(find_shards(grounding_shards), ["grounding"]) if each.set == "referring"]
    asked = with_shots(samples[:1], samples, 1, seed=0)[0]
    assert re.fullmatch(
        r"<img>0</img><ref>[^<]+</ref>(<box>[\d,()]+</box>)+" + re.escape(samples[0].prompt), asked.prompt
    )
    opened = [replace(each, prompt=f"{each.prompt}<box>") for each in samples]
    asked = with_shots(opened[:1], opened, 1, seed=0)[0]
    assert asked.prompt.count("<box>(") == len(parsing.parse(asked.prompt)[0].boxes)
    regions = [each for each in read_shards(find_shards(grounding_shards), ["caption"]) if each.group.endswith("zh")]
    asked = with_shots(regions[:1], regions, 1, seed=0)[0]
    assert "是 " not in asked.prompt
