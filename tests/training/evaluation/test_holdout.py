"""What training leaves out is what evaluation may ask: both sides read by their own code, over the same shards."""

from pathlib import Path

import pytest

from qvl.model.weights.auto import load_processor
from qvl.pipeline.shards.reader import open_dataset, read_index
from qvl.training.data.encode import Rule
from qvl.training.data.lengths import HELD_OUT, LengthsTask, measure_lengths, read_lengths
from qvl.training.evaluation.samples.shards import TASKS, find_shards, read_shards
from qvl.training.recipe import Holdout


@pytest.mark.parametrize("seed", [0, 5])
def test_training_leaves_out_exactly_what_evaluation_asks(
    tiny: Path, grounding_shards: Path, made_shards: Path, tmp_path: Path, seed: int
) -> None:
    holdout = Holdout(share=0.4, seed=seed)
    tokenizer = load_processor(tiny).tokenizer
    left_out, trained = set(), set()
    for number, folder in enumerate((grounding_shards, made_shards)):
        for shard in open_dataset(str(folder)).shards:
            path = tmp_path / f"{number}-{shard.name}.parquet"
            task = LengthsTask(shard, path, tokenizer, Rule(4096, positions=16), holdout)
            reasons = read_lengths(measure_lengths(task)).reasons
            for key, reason in zip(read_index(shard.index, ["key"])["key"].to_pylist(), reasons, strict=True):
                (left_out if reason == HELD_OUT else trained).add(key)
    shards = find_shards(grounding_shards) + find_shards(made_shards)
    asked = {sample.id for sample in read_shards(shards, TASKS, "heldout", share=0.4, seed=seed)}
    assert asked == left_out
    assert trained
