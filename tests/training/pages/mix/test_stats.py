"""Figures of mixtures against datasets whose contents are known, and against the real schedule."""

from collections import Counter
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from qvl.training.data.datasets import open_all, used_datasets
from qvl.training.data.encode import Rule
from qvl.training.data.parts import mix_parts
from qvl.training.data.schedule import Schedule
from qvl.training.data.steps import STREAM_START
from qvl.training.pages.mix.stats import dataset_stats, recipe_plan
from qvl.training.pages.mix.tokens import TokenCounting
from qvl.training.recipe import load_train_recipe
from tests.training.made import stage, write_recipe


def counting(tokenizer: PreTrainedTokenizerFast | None, per_shard: int = 1000) -> TokenCounting:
    return TokenCounting(tokenizer, Rule(256, 16), per_shard)


def test_dataset_stats_count_every_sample(datasets: dict[str, Path], tokenizer: PreTrainedTokenizerFast) -> None:
    stats = dataset_stats("mixed", open_all({"mixed": str(datasets["mixed"])}), counting(tokenizer))
    (found,) = stats.stages
    assert {cell.task: cell.samples for cell in found.cells} == dict.fromkeys(
        ("caption", "vqa", "ocr", "referring"), 24
    )
    assert all(cell.share == 0.25 for cell in found.cells)
    assert sum(map(sum, found.lengths.values())) == 96
    assert {task: counts[0] for task, counts in found.resolutions.items()} == dict.fromkeys(
        ("caption", "vqa", "ocr", "referring"), 24
    )  # 80 x 60 pixels
    (part,) = found.parts
    assert (part.counted, part.counted_of) == ("encoded", 96)


def test_recipe_plan_shares_are_what_the_schedule_draws(datasets: dict[str, Path], start: Path, tmp_path: Path) -> None:
    mix = [
        {"dataset": "mixed", "tasks": ["caption"], "weight": 5},
        {"dataset": "mixed", "tasks": ["ocr"], "weight": 2},
        {"dataset": "text", "weight": 3},
    ]
    chosen = {name: datasets[name] for name in ("mixed", "text")}
    file = write_recipe(tmp_path / "r.yaml", start, chosen, stage(mix=mix, steps=100))
    recipe = load_train_recipe(file)
    opened = used_datasets(recipe)
    (found,) = recipe_plan(recipe, opened, 2, 16, None).stages
    schedule, state = Schedule(recipe.stages[0], mix_parts(recipe.stages[0], opened), recipe.seed), STREAM_START
    drawn: Counter[str] = Counter()
    for _ in range(100):
        step = schedule.plan(state, 0, 1)
        drawn.update(name.partition("-")[0] for name in step.ids)
        state = step.after
    for row in found.paper.tasks:
        assert drawn[row.task] / 800 == pytest.approx(row.share, abs=0.01)
    assert [part.epochs for part in found.parts] == pytest.approx([400 / 24, 160 / 24, 240 / 40], rel=1e-6)
