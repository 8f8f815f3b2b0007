"""Shared small checkpoints; no test here needs a network."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import pytest
import torch
from small_checkpoints import released_weights, small_ranks, write_ranks, write_released

from model.auto import load_model, register
from model.convert import import_checkpoint
from model.qwen_vl import QwenVLForConditionalGeneration


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
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
