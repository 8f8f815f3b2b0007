"""Session fixtures: small random checkpoints in the released layout and in ours."""

from pathlib import Path

import pytest
import torch

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, register
from qvl.model.weights.convert import import_checkpoint
from tests.model.small_checkpoints import released_weights, small_ranks, write_ranks, write_released


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    register()


@pytest.fixture(scope="session")
def ranks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ranks(tmp_path_factory.mktemp("ranks") / "qwen.tiktoken", small_ranks())


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_released(tmp_path_factory.mktemp("released"), released_weights())


@pytest.fixture(scope="session")
def imported(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported") / "model"
    import_checkpoint("qwen-vl", released, folder)
    return folder


@pytest.fixture
def model(imported: Path) -> QwenVLForConditionalGeneration:
    return load_model(imported)
