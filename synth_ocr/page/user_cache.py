"""Results that take seconds to compute, kept in the user's cache folder across runs and outputs."""

import os
from collections.abc import Callable
from pathlib import Path

from qvl.pipeline.storage.atomic import replace_file


def cached_bytes(name: str, compute: Callable[[], bytes]) -> bytes:
    """The bytes stored under ``name``, computed and stored if they are not there yet.

    ``name`` must contain everything that the result depends on. Processes may compute the same name at the same time.
    """
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qvl" / name
    if path.is_file():
        return path.read_bytes()
    data = compute()
    replace_file(path, data)
    return data
