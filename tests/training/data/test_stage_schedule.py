"""The schedule of a stage: an order of its own, and lengths that the ranks share out."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from qvl.training.data.datasets import used_datasets
from qvl.training.data.encode import Encoder, Rule
from qvl.training.data.stage_schedule import stage_schedule, stage_seed
from qvl.training.data.steps import STREAM_START
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import load_train_recipe
from tests.training.made import stage, write_recipe


def test_stage_seed_differs_between_stages_and_recipes(datasets: dict[str, Path], start: Path, tmp_path: Path) -> None:
    stages = (stage(name="first"), stage(name="second"))
    recipe = load_train_recipe(write_recipe(tmp_path / "r.yaml", start, datasets, *stages))
    other = recipe.model_copy(update={"seed": recipe.seed + 1})
    seeds = [stage_seed(each, spec) for each in (recipe, other) for spec in each.stages]
    assert len(set(seeds)) == 4
    assert seeds[:2] == [stage_seed(recipe, spec) for spec in recipe.stages]


def test_stage_schedule_measures_lengths_only_where_the_stage_packs(
    datasets: dict[str, Path], start: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    stages = (stage(name="plain"), stage(name="packed", packing="causal"))
    recipe = load_train_recipe(write_recipe(tmp_path / "r.yaml", start, datasets, *stages))
    opened, encoder, lengths = used_datasets(recipe), Encoder(tokenizer, Rule(256, 16)), tmp_path / "lengths"
    plain, packed = recipe.stages
    schedule = stage_schedule(recipe, plain, opened, lengths, encoder, ProcessGroup())
    assert len(schedule.plan(STREAM_START, 0, 1).ids) == 8 and not lengths.exists()
    schedule = stage_schedule(recipe, packed, opened, lengths, encoder, ProcessGroup())
    assert len(schedule.plan(STREAM_START, 0, 1).ids) == 8
    used = {part.dataset for part in packed.mix}
    shards = sum(len(opened[name].shards) for name in used)
    assert len(list(lengths.rglob("*.parquet"))) == shards
