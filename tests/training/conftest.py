"""A model that trains in seconds, datasets of every task, and a runner for commands in processes of their own."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from qvl.model.weights.auto import load_processor
from tests.shared import built_once
from tests.training.evaluation.tiny import write_tiny
from tests.training.forked import ForkedCommand, compile_operator
from tests.training.made import of_task, write_dataset

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
ROOT = Path(__file__).parents[2]
TASKS = ("caption", "vqa", "ocr", "referring")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("start") / "model")


@pytest.fixture(scope="session")
def tokenizer(start: Path) -> PreTrainedTokenizerFast:
    return load_processor(start).tokenizer


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`mixed`: 96 samples of four tasks, `text`: 40 without an image, `chat`: 24 dialogues."""
    out = tmp_path_factory.mktemp("datasets")
    mixed = [of_task(TASKS[number % 4], number) for number in range(96)]
    return {
        "mixed": write_dataset(out / "mixed", "mixed", mixed),
        "text": write_dataset(out / "text", "text", [of_task("text", number) for number in range(40)]),
        "chat": write_dataset(out / "chat", "chat", [of_task("chat", number) for number in range(24)]),
    }


@pytest.fixture(scope="session")
def compiled_operator(tmp_path_factory: pytest.TempPathFactory) -> None:
    """DeepSpeed's operator, compiled before the first run needs it, because that may take minutes."""
    built_once(tmp_path_factory, "operator", lambda _: compile_operator())


@pytest.fixture(scope="session")
def qvl(compiled_operator: None) -> Command:
    """Run the command to its end, in a process of its own."""
    return lambda *arguments: ForkedCommand(*arguments).finish()
