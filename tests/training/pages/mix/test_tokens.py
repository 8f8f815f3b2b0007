"""Tokens counted by encoding samples against those that a run has measured."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Rule
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
from qvl.training.pages.mix.stats import recipe_plan
from qvl.training.recipe import load_train_recipe
from tests.training.made import stage, write_recipe


def test_tokens_when_all_samples_are_encoded_equal_the_measured_ones(
    datasets: dict[str, Path], tokenizer: PreTrainedTokenizerFast, start: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    parts = {"dataset": "mixed", "weight": 1}
    file = write_recipe(tmp_path / "r.yaml", start, {"mixed": datasets["mixed"]}, stage(mix=[parts]))
    recipe = load_train_recipe(file)
    opened = used_datasets(recipe)
    rule = Rule(256, 16)
    for shard in opened["mixed"].shards:
        path = LengthsFolder(run / "lengths", rule_fingerprint(tokenizer, rule)).path_of(shard)
        measure_lengths(LengthsTask(shard, path, tokenizer, rule))
    encoded = recipe_plan(recipe, opened, 1, 1000, None).stages[0]
    measured = recipe_plan(recipe, opened, 1, 1000, run).stages[0]
    assert encoded.parts[0].counted == "encoded"
    assert measured.parts[0].counted == "measured"
    assert measured.parts[0].tokens == pytest.approx(encoded.parts[0].tokens)
    few = recipe_plan(recipe, opened, 1, 4, None).stages[0]
    assert few.parts[0].counted_of < 96
    assert few.parts[0].tokens == pytest.approx(encoded.parts[0].tokens, rel=0.2)
