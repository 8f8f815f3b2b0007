"""Session fixtures: small random checkpoints in the released layout and in ours."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import build_tokenizer
from qvl.model.weights.auto import load_model, register
from qvl.model.weights.convert import export_model, import_checkpoint
from tests.model.small_checkpoints import REAL_RANKS, released_weights, small_ranks, write_ranks, write_released


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


@pytest.fixture(scope="session")
def tokenizer(ranks_file: Path) -> PreTrainedTokenizerFast:
    """A tokenizer with a small vocabulary."""
    return build_tokenizer(ranks_file)


@pytest.fixture(scope="session")
def released_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of the release. Tests that need it are skipped if its file has not been fetched."""
    if not REAL_RANKS.is_file():
        pytest.skip("no .data/qwen.tiktoken: run python tests/model/fetch_tokenizer.py")
    return build_tokenizer(REAL_RANKS)


@pytest.fixture(scope="session")
def exported(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_model(imported, folder, shard_bytes=2**20)
    return folder
