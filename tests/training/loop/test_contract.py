"""The contract of a stage on models whose tensors a test has changed."""

import json
from pathlib import Path

import pytest
import torch

from qvl.model.weights.auto import load_model
from qvl.pipeline.base.errors import ContractError
from qvl.training.loop.contract import START, check_contract, note_start
from qvl.training.recipe import StageSpec
from tests.training.made import stage

VISION, LANGUAGE = "model.vision_tower.conv1.weight", "model.language_model.norm.weight"


def changed(start: Path, folder: Path, *names: str) -> Path:
    """The model of ``start`` with one added to these tensors."""
    net = load_model(start)
    parameters = dict(net.named_parameters())
    with torch.no_grad():
        for name in names:
            parameters[name] += 1
    net.save_pretrained(folder)
    return folder


@pytest.fixture
def begun(start: Path, tmp_path: Path) -> Path:
    """The folder of a stage that has noted its start."""
    folder = tmp_path / "stage"
    folder.mkdir()
    note_start(folder, load_model(start))
    return folder


def spec(kind: str) -> StageSpec:
    return StageSpec.model_validate(stage(stage=kind))


def test_check_contract_when_only_trained_tensors_moved_accepts_the_model(
    start: Path, begun: Path, tmp_path: Path
) -> None:
    check_contract(begun, changed(start, tmp_path / "model", VISION), spec("pretrain"))


def test_check_contract_when_a_frozen_tensor_moved_names_it(start: Path, begun: Path, tmp_path: Path) -> None:
    model = changed(start, tmp_path / "model", VISION, LANGUAGE)
    with pytest.raises(ContractError, match=f"changed tensors that it freezes: {LANGUAGE}"):
        check_contract(begun, model, spec("pretrain"))
    with pytest.raises(ContractError, match=f"changed tensors that it freezes: {VISION}"):
        check_contract(begun, model, spec("sft"))


def test_check_contract_when_no_trained_tensor_moved_is_an_error(start: Path, begun: Path) -> None:
    with pytest.raises(ContractError, match="no tensor changed"):
        check_contract(begun, start, spec("pretrain"))


def test_note_start_when_the_stage_is_resumed_keeps_the_first_hashes(start: Path, begun: Path, tmp_path: Path) -> None:
    before = (begun / START).read_bytes()
    note_start(begun, load_model(changed(start, tmp_path / "model", VISION)))
    assert (begun / START).read_bytes() == before
    assert VISION in json.loads(before)["tensors"]
