"""A model that trains in seconds, datasets of every task, and a runner for commands in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from qvl.model.weights.auto import load_processor
from tests.training.evaluation.tiny import write_tiny
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


def start_qvl(*arguments: str) -> "subprocess.Popen[str]":
    """Start the command in a process group of its own, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", "from qvl.command import main; main()", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


@pytest.fixture(scope="session")
def qvl() -> Command:
    """Run the command to its end."""

    def run(*arguments: str, timeout: float = 280) -> "subprocess.CompletedProcess[str]":
        process = start_qvl(*arguments)
        out, error = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, out, error)

    return run
