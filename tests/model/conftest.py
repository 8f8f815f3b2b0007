"""Shared small checkpoints. No test needs a network connection; all need the extra `train` (torch, transformers)."""

import os
from importlib.util import find_spec

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

INSTALLED = all(find_spec(name) for name in ("torch", "transformers"))
collect_ignore_glob = [] if INSTALLED else ["test_*.py"]

if INSTALLED:
    from tests.model.checkpoint_fixtures import (  # noqa: F401
        exported,
        imported,
        model,
        one_thread,
        ranks_file,
        released,
        released_tokenizer,
        tokenizer,
    )


def pytest_report_header() -> str | None:
    return None if INSTALLED else "tests/model is skipped: torch and transformers (extra `train`) are not installed"
