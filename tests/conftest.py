"""Fixtures that every test may use, how hypothesis looks for examples, and where DeepSpeed's operator is compiled."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.storage.reader import Storage

TESTS = Path(__file__).parent

# the same examples in every run: a red test is red again on the next machine
settings.register_profile("repo", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repo")

# DeepSpeed compiles an operator when it first starts. Ninja compiles it again whenever another environment (other include
# paths) or another version of ninja (other hashes of commands) used the folder, so the folder belongs to this environment,
# and its own ninja comes first.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ.setdefault(
    "TORCH_EXTENSIONS_DIR",
    str(TESTS.parent / ".data" / "torch_extensions" / hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]),
)

# The files that take longest, measured in CPU seconds. pytest-xdist gives files to its workers in the order of the tests, so
# these begin first, and no worker begins a long file when the others are done.
LONGEST = (
    *("end_to_end/test_view", "end_to_end/test_stores", "end_to_end/test_three_nodes", "end_to_end/test_kills"),
    *("end_to_end/test_faults", "end_to_end/test_demo_clip", "training/loop/test_run", "end_to_end/test_import_name"),
    *(
        "end_to_end/test_report_page",
        "end_to_end/test_wheel",
        "training/loop/test_overfit",
        "synth_ocr/html/test_traps",
    ),
    *("synth_ocr/html/test_isolation", "synth_ocr/build/test_run", "training/pages/experiments/test_run"),
    *("training/evaluation/test_run", "training/test_train_gpu", "training/commands/doctor/test_command"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; all others stay in their order."""
    position = {TESTS / f"{name}.py": at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: position.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def language() -> LanguageModel:
    """The shipped language rule, loaded once."""
    return LanguageModel("lid.176.ftz")


@pytest.fixture(scope="session")
def storage() -> Storage:
    return Storage()
