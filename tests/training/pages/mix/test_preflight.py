"""The preflight against the micro-batches of the real schedule."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Rule
from qvl.training.data.lengths import LengthsFolder, LengthsTask, measure_lengths, rule_fingerprint
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.pages.mix.preflight import preflight
from qvl.training.recipe import load_train_recipe
from tests.training.made import stage, write_recipe


@pytest.mark.parametrize("world", [1, 2, 3, 5, 7])
@pytest.mark.parametrize(
    "batch", [{"size": 8, "unit": "samples", "micro": 2}, {"size": 5, "unit": "sequences", "micro": 1}]
)
def test_preflight_counts_the_micro_batches_of_the_schedule(
    datasets: dict[str, Path], start: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path, world: int,
    batch: dict[str, object],
) -> None:  # fmt: skip
    packing = {"packing": "causal", "pack_window": 48} if batch["unit"] == "sequences" else {}
    mix = [{"dataset": "mixed", "weight": 1}]
    file = write_recipe(
        tmp_path / "r.yaml", start, {"mixed": datasets["mixed"]}, stage(mix=mix, batch=batch, **packing)
    )
    recipe = load_train_recipe(file)
    (spec,) = recipe.stages
    parts = mix_parts(spec, used_datasets(recipe))
    found = preflight(recipe, spec, parts, tokenizer, 16, world)
    rule = Rule(spec.length, 16)
    measured = LengthsFolder(tmp_path, rule_fingerprint(tokenizer, rule))
    for shard in parts[0].dataset.shards:
        measure_lengths(LengthsTask(shard, measured.path_of(shard), tokenizer, rule))
    lengths = measured if packing else None
    made = [Schedule(spec, parts, 0, lengths).plan(STREAM_START, rank, world).micro_batches for rank in range(world)]
    assert {len(batches) for batches in made} == {found.micro_batches_per_rank}
    empty = sum(not micro.sequences for batches in made for micro in batches)
    assert found.empty_share == pytest.approx(empty / sum(map(len, made)))
    assert bool(found.problems) == (found.empty_share > 0.1)
