"""Scores of held-out samples while a stage runs, and the operations that its batches need."""

from pathlib import Path
from typing import Any

import pytest
import torch

from qvl.model.network.config import IGNORE
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.folder import read_config
from qvl.training.data.loader import Batch
from qvl.training.loop.scores import evaluator, peak_flops, step_flops
from qvl.training.recipe import StageSpec, load_train_recipe
from tests.training.made import stage, write_recipe


def batch(rows: int, width: int, labels: int) -> Batch:
    ids = torch.zeros(rows, width, dtype=torch.long)
    supervised = torch.full_like(ids, IGNORE)
    supervised.view(-1)[:labels] = 1
    none = torch.zeros(labels, dtype=torch.long)
    return Batch(ids, supervised, None, None, none, none, samples=rows, tokens=labels)


def test_step_flops_of_batches_add_up_and_grow_with_the_labels(start: Path) -> None:
    spec = StageSpec.model_validate(stage(stage="multitask"))
    count = step_flops(spec, read_config(start))
    few, many = batch(2, 8, 4), batch(2, 8, 12)
    assert 0 < count([few]) < count([many])
    assert count([few, many]) == pytest.approx(count([few]) + count([many]))
    assert count([]) == 0


def test_peak_flops_without_a_gpu_is_none() -> None:
    assert (peak_flops("bfloat16") is None) == (not torch.cuda.is_available())


@pytest.mark.parametrize("limit", [1, 3])
def test_evaluator_scores_the_limit_of_samples_of_each_task(
    start: Path, datasets: dict[str, Path], tmp_path: Path, limit: int
) -> None:
    settings: dict[str, Any] = {"dataset": "mixed", "tasks": ["caption", "vqa"], "every": 2, "limit": limit}
    path = write_recipe(tmp_path / "r.yaml", start, datasets, stage(evaluate=settings))
    recipe = load_train_recipe(path)
    run = evaluator(recipe, recipe.stages[0], load_model(start), load_processor(start))
    assert run is not None
    lines = run(7)
    assert [(line.step, line.task) for line in lines] == [(7, "caption"), (7, "vqa")]
    assert [line.scores["samples"] for line in lines] == [limit, limit]


def test_evaluator_of_a_stage_that_is_not_evaluated_is_none(
    start: Path, datasets: dict[str, Path], tmp_path: Path
) -> None:
    recipe = load_train_recipe(write_recipe(tmp_path / "r.yaml", start, datasets, stage()))
    assert evaluator(recipe, recipe.stages[0], load_model(start), load_processor(start)) is None
