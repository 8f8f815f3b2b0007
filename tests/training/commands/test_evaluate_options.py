"""The options of ``qvl eval run`` as the samples that they select."""

from pathlib import Path

import pytest

from qvl.pipeline.base.errors import RecipeError
from qvl.training.commands.evaluate_options import Prompts, QuestionOptions, Side, TaskName
from qvl.training.evaluation.samples.selection import EvalSelection


def test_selection_without_options_is_that_of_all_tasks() -> None:
    tasks = ("caption", "vqa", "grounding", "ocr")
    assert QuestionOptions(["out"]).selection() == EvalSelection(("out",), tasks)


def test_selection_has_every_option_that_was_given() -> None:
    options = QuestionOptions(
        ["a.json", "b.json"], [TaskName.vqa], Path("images"), "textvqa", "anls", Prompts.training, Side.heldout,
        0.25, 3, 9, 2, ["c.json"], 64, True,
    )  # fmt: skip
    assert options.selection() == EvalSelection(
        data=("a.json", "b.json"), tasks=("vqa",), images=Path("images"), kind="textvqa", style="training", metric="anls",
        split="heldout", share=0.25, seed=3, limit=9, shots=2, shots_data=("c.json",), longest=64, conversation=True,
    )  # fmt: skip


def test_selection_with_an_unknown_metric_is_refused() -> None:
    with pytest.raises(RecipeError, match="--metric best: unknown; choose one of"):
        QuestionOptions(["out"], metric="best").selection()
