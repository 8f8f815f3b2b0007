"""Fixtures that every test may use, how hypothesis looks for examples, and where DeepSpeed's operator is compiled."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from qvl.pipeline.captions.language import LanguageModel
from qvl.pipeline.storage.reader import Storage

# the same examples in every run: a red test is red again on the next machine
settings.register_profile("repo", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repo")

# DeepSpeed compiles an operator when it first starts. Ninja compiles it again whenever another environment (other include
# paths) or another version of ninja (other hashes of commands) used the folder, so the folder belongs to this environment,
# and its own ninja comes first.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ.setdefault(
    "TORCH_EXTENSIONS_DIR",
    str(
        Path(__file__).parents[1] / ".data" / "torch_extensions" / hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]
    ),
)


@pytest.fixture(scope="session")
def language() -> LanguageModel:
    """The shipped language rule, loaded once."""
    return LanguageModel("lid.176.ftz")


@pytest.fixture(scope="session")
def storage() -> Storage:
    return Storage()
