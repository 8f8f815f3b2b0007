"""Object stores behind fsspec: opening one, and repeating a call that failed.

A call to a store that fails (a 500, a time-out) is repeated a bounded number of times; then the run stops with a QvlError.
Such a failure must not look like a file that cannot be read, which would cost a unit its rows. The clients of the stores
retry too, but each in its own way and not for every error.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import fsspec

from qvl.pipeline.base.errors import QvlError, RecipeError

TRIES = 6
FIRST_PAUSE = 0.2  # seconds, doubled after every try
CONCURRENT_REQUESTS = 16  # to one store, per process
# client errors that fsspec passes on without turning them into an OSError, by module
CLIENT_ERRORS = {"botocore.exceptions": "BotoCoreError", "aiohttp": "ClientError"}

Result = TypeVar("Result")


def with_retries(call: Callable[[], Result]) -> Result:
    """Run ``call``, which must be safe to repeat, and repeat it while the store fails.

    An answer about the file itself (it does not exist, exists already, is forbidden) is raised at once. Raises QvlError
    after ``TRIES`` failures, and at once if credentials are missing.
    """
    for attempt in range(TRIES):
        try:
            return call()
        except (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError):
            raise
        except _store_errors() as error:
            line = (str(error) or type(error).__name__).splitlines()[0]
            if type(error).__name__.endswith("CredentialsError"):
                raise QvlError(f"the store asks for credentials ({line}); docs/cluster.md says how to log in") from None
            if attempt == TRIES - 1:
                raise QvlError(
                    f"the store failed {TRIES} times in a row, the last time with: {line}; nothing is lost: run the same "
                    "command again when the store answers, and it continues where this run stopped"
                ) from None
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise AssertionError("unreachable")


def _store_errors() -> tuple[type[Exception], ...]:
    """The exceptions that a failing store raises. A client that is not loaded cannot have raised any."""
    loaded = ((sys.modules.get(module), name) for module, name in CLIENT_ERRORS.items())
    return (OSError, *(getattr(module, name) for module, name in loaded if module is not None))


def open_filesystem(path: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path within it. Listings are not cached: others write there too.

    Raises RecipeError for a protocol that is unknown or whose package is missing.
    """
    try:
        filesystem, inner = fsspec.core.url_to_fs(path, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        hint = "; pip install 'qvl[s3]'" if isinstance(error, ImportError) and path.startswith("s3") else ""
        raise RecipeError(f"{path}: {str(error).splitlines()[0]}{hint}") from None
    return filesystem, str(inner)


def kind_of(url: str) -> str | None:
    """``file``, ``directory`` or None. fsspec's own ``exists`` would report that a failing store is empty."""
    filesystem, inner = open_filesystem(url)
    try:
        return str(with_retries(lambda: filesystem.info(inner))["type"])
    except FileNotFoundError:
        return None
