"""``evaluate``, as a trainer calls it: what was learnt by heart scores full marks, on one process and on two."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from qvl.model.weights.auto import load_model, load_processor
from qvl.training.evaluation.evaluate import Evaluation, evaluate
from qvl.training.evaluation.samples.sample import Decoding, EvalSample
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
from qvl.training.evaluation.samples.shards import TASKS
from tests.training.evaluation.tiny import learn
from tests.training.forked import run_ranks

STEPS = 200
SETS = ("caption", "vqa", "ocr", "referring", "region_caption")


@pytest.fixture(scope="module")
def few(made_shards: Path, grounding_shards: Path) -> list[EvalSample]:
    """Two of each ability with short answers."""
    samples = load_samples(EvalSelection((str(made_shards), str(grounding_shards)), TASKS, limit=2, seed=1, longest=90))
    return [sample for sample in samples if sample.set in SETS and len(sample.images) == 1]


def set_scores(evaluation: Evaluation) -> dict[str, float]:
    return {name: found.score for name, found in evaluation.scores.sets.items()}


def test_evaluate_when_the_model_has_memorized_the_samples_scores_full_marks(tiny: Path, few: list[EvalSample]) -> None:
    assert {sample.set for sample in few} == set(SETS)
    processor = load_processor(tiny)
    before = evaluate(load_model(tiny), processor, few)
    model = learn(tiny, few, STEPS)
    assert model.training
    after = evaluate(model, processor, few)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [answer.text for answer in after.answers] == [sample.answers[0] for sample in few]
    full = {name: value for name, value in set_scores(after).items() if "caption" not in name}
    assert full == {"vqa": 100.0, "ocr": 100.0, "referring": 100.0}
    assert all(set_scores(after)[name] > set_scores(before)[name] for name in SETS)
    referring = after.scores.sets["referring"]
    assert (referring.metric, referring.numbers["samples"], referring.numbers["unparsable"]) == ("box", 2, 0)


def answers_and_numbers(folder: Path, shards: Path) -> list[Any]:
    samples = load_samples(EvalSelection((str(shards),), ("caption", "ocr"), longest=9))
    found = evaluate(load_model(folder), load_processor(folder), samples, 4)
    return [[answer.text for answer in found.answers], {name: each.numbers for name, each in found.scores.sets.items()}]


def write_answers_of_rank(folder: Path, shards: Path, out: Path) -> None:
    dist.init_process_group("gloo")
    (out / f"{dist.get_rank()}.json").write_text(json.dumps(answers_and_numbers(folder, shards)))
    dist.destroy_process_group()


def test_evaluate_on_two_ranks_gives_the_result_of_one(tiny: Path, made_shards: Path, tmp_path: Path) -> None:
    run_ranks(write_answers_of_rank, tiny, made_shards, tmp_path)
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == answers_and_numbers(tiny, made_shards)


def test_evaluate_leaves_the_weights_unchanged(tiny: Path, few: list[EvalSample]) -> None:
    model = load_model(tiny).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, load_processor(tiny), [replace(few[0], decoding=Decoding(2))])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
