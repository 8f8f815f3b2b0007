"""The steps of each kind of duplicate rule, over the groups of a finished run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qvl.pipeline.curate.selection.rule_steps import rule_steps, tasks_over
from qvl.pipeline.recipe.recipe import Recipe
from tests.pipeline.curate.finished_run import curation, first_task
from tests.pipeline.curate.small_run import content

NO_OTHER = {"image": False, "pair": False, "repeated_text": None}
CLIP = {"english": {"model": "ViT-B-32", "pretrained": "openai"}, "embeddings": True}


@pytest.mark.parametrize(
    ("dedup", "score", "steps"),
    [
        ({"repeated_text": None}, {}, ["emit", "resolve"]),
        ({**NO_OTHER, "repeated_text": 2}, {}, ["emit", "resolve"]),
        (
            {**NO_OTHER, "near_duplicate": {}},
            {"phash": {}},
            ["emit", "resolve", "band", "pair", "suppress_near"],
        ),
        (
            {**NO_OTHER, "semantic_duplicate": {}},
            {"clip": CLIP},
            ["sample", "train", "assign", "compare"],
        ),
    ],
    ids=["equal images", "repeated texts", "near images", "near vectors"],
)
def test_rule_steps_of_a_kind_of_rule_are_in_order(
    out: Path, dedup: dict[str, Any], score: dict[str, Any], steps: list[str]
) -> None:
    recipe = Recipe.model_validate(content(dedup=dedup, **({"score": score} if score else {})))
    task = first_task(recipe, out)
    (rule,) = task.rules
    found = rule_steps(replace(task, rule=0))
    assert [step.function.__name__ for step in found] == steps
    for step in found:
        assert [each.number for each in step.tasks] == list(range(len(step.tasks)))
        assert {each.duplicate_rule for each in step.tasks} == {rule}


def test_tasks_over_changes_nothing_but_the_number(data: Path, out: Path) -> None:
    task = first_task(curation(data, out).recipe, out)
    assert tasks_over(task, 3) == [task, replace(task, number=1), replace(task, number=2)]
