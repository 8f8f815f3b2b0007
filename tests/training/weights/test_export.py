"""A stage's weights as a model folder: whole or not at all, and equal to what was trained."""

from pathlib import Path

import pytest
import torch

from qvl.model.network.errors import ModelError
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.folder import read_config
from qvl.training.process_group import ProcessGroup
from qvl.training.recipe import StageSpec
from qvl.training.weights.export import collect_weights, plain_weights, without_prefix, write_model
from tests.training.made import stage


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_model(folder).state_dict())


def test_write_model_replaces_a_folder_with_the_given_weights(start: Path, tmp_path: Path) -> None:
    weights = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in weights_of(start).items()}
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    write_model(target, read_config(start), weights, load_processor(start), torch.float32)
    assert not (target / "old").exists() and [path.name for path in tmp_path.iterdir()] == ["model"]
    found = weights_of(target)
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items() if name in found)
    assert load_processor(target).tokenizer.get_vocab() == load_processor(start).tokenizer.get_vocab()


@pytest.mark.parametrize("wrong", ["missing", "shape"])
def test_write_model_when_a_tensor_is_wrong_raises_and_leaves_the_folder(
    start: Path, tmp_path: Path, wrong: str
) -> None:
    weights = weights_of(start)
    name = next(name for name in weights if "layers.0" in name)
    weights[name] = weights[name][:1]
    if wrong == "missing":
        del weights[name]
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(ModelError, match="1 tensors are missing" if wrong == "missing" else "expects"):
        write_model(target, read_config(start), weights, load_processor(start), torch.float32)
    assert (target / "old").exists()


def test_plain_weights_of_a_quantised_base_raise(start: Path) -> None:
    spec = StageSpec.model_validate(stage(stage="sft", lora={"quantize": True}))
    with pytest.raises(ModelError, match="4-bit"):
        plain_weights({}, spec, load_processor(start))


def test_collect_weights_takes_trained_tensors_from_their_masters() -> None:
    used = [("net.a", torch.zeros(2)), ("net.b", torch.zeros(2))]
    masters = [("net.b", torch.full((2,), 1 / 3))]
    found = collect_weights(used, masters, torch.bfloat16, ProcessGroup())
    assert found["a"].dtype == torch.float32 and not found["a"].any()
    assert torch.equal(found["b"], torch.full((2,), 1 / 3).bfloat16())
    assert collect_weights(used, masters, torch.bfloat16, ProcessGroup(rank=1, size=2)) == {}
    assert list(without_prefix(used)) == ["a", "b"]
