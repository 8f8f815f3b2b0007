"""``evaluate``, as a trainer calls it: what was learnt by heart scores full marks, on one process and on two."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from qvl.model.weights.auto import load_model, load_processor
from qvl.training.evaluation.evaluate import Evaluation, evaluate
from qvl.training.evaluation.samples.sample import Decoding, EvalSample
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
from qvl.training.evaluation.samples.shards import TASKS
from tests.training.evaluation.conftest import ROOT
from tests.training.evaluation.tiny import learn

STEPS = 200
SETS = ("caption", "vqa", "ocr", "referring", "region_caption")

TWO_RANKS = """
import json, sys
from pathlib import Path
import torch, torch.distributed as dist
from qvl.model.weights.auto import load_model, load_processor
from qvl.training.evaluation.evaluate import evaluate
from qvl.training.evaluation.samples.selection import EvalSelection, load_samples
torch.set_num_threads(1)
dist.init_process_group("gloo")
folder, shards, out = map(Path, sys.argv[1:])
samples = load_samples(EvalSelection((str(shards),), ("caption", "ocr"), longest=9))
result = evaluate(load_model(folder), load_processor(folder), samples, 4)
numbers = {name: score.numbers for name, score in result.scores.sets.items()}
(out / f"{dist.get_rank()}.json").write_text(json.dumps([[a.text for a in result.answers], numbers]))
"""


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


def test_evaluate_on_two_ranks_gives_the_result_of_one(tiny: Path, made_shards: Path, tmp_path: Path) -> None:
    script = tmp_path / "two_ranks.py"
    script.write_text(TWO_RANKS)
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, str(tiny), str(made_shards), str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    samples = load_samples(EvalSelection((str(made_shards),), ("caption", "ocr"), longest=9))
    alone = evaluate(load_model(tiny), load_processor(tiny), samples, 4)
    wanted: list[Any] = [
        [answer.text for answer in alone.answers],
        {name: each.numbers for name, each in alone.scores.sets.items()},
    ]
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == wanted


def test_evaluate_leaves_the_weights_unchanged(tiny: Path, few: list[EvalSample]) -> None:
    model = load_model(tiny).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, load_processor(tiny), [replace(few[0], decoding=Decoding(2))])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
