"""Object stores behind fsspec: opening one, and repeating a call that failed.

A call to a store that fails (a 500, a time-out) is repeated a bounded number of times; then the run stops with a QvlError.
Such a failure must not look like a file that cannot be read, which would cost a unit its rows. The clients of the stores
retry too, but each in its own way and not for every error.
"""

import errno
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import fsspec

from qvl.pipeline.base.addresses import HTTP, Address
from qvl.pipeline.base.errors import QvlError, RecipeError, first_line
from qvl.pipeline.base.terminal import warn

TRIES = 6
FIRST_PAUSE = 0.2  # seconds, doubled after every try
PATIENCE = 120.0  # seconds after which a failed call is not repeated any more
NOTICE_AFTER = 5.0  # seconds without an answer until a line on stderr says so
CONCURRENT_REQUESTS = 16  # to one store, per process
# seconds without an answer, or without another byte of it; FSSPEC_S3='{"config_kwargs": {"read_timeout": 60}}' changes it
TIMEOUTS = {"connect_timeout": 10, "read_timeout": 15}
SETTINGS = "check the settings of the store in the environment (AWS_*, FSSPEC_*, proxies) and in ~/.aws"
S3 = ("s3", "s3a")
PACKAGES = {
    **dict.fromkeys(S3, "; pip install 'qvl[s3]'"),
    "hf": "; pip install huggingface_hub",
    **dict.fromkeys(("http", "https"), "; pip install aiohttp"),
}
# client errors that fsspec passes on without turning them into an OSError, by module
CLIENT_ERRORS = {
    **{"botocore.exceptions": "BotoCoreError", "aiohttp": "ClientError"},
    **dict.fromkeys(("httpx", "httpx2"), "HTTPError"),
}
# answers of the Hugging Face Hub that another try does not change
FINAL = frozenset(("OfflineModeIsEnabled", "GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError"))

Item = TypeVar("Item")
Result = TypeVar("Result")


def with_retries(call: Callable[[], Result]) -> Result:
    """Run ``call``, which must be safe to repeat, and repeat it while the store fails.

    An answer about the file itself (it does not exist, exists already, is forbidden) is raised at once. Raises QvlError
    after ``TRIES`` failures, after a failure later than ``PATIENCE``, and at once if credentials are missing.
    """
    start = time.monotonic()
    for attempt in range(TRIES):
        try:
            with _notice_of_waiting():
                return call()
        except (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError):
            raise
        except _store_errors() as error:
            line = first_line(error)
            if type(error).__name__.endswith("CredentialsError"):
                raise QvlError(f"the store asks for credentials ({line}); docs/cluster.md says how to log in") from None
            if type(error).__name__ in FINAL:
                raise QvlError(f"the Hugging Face Hub cannot be asked: {line}") from None
            if attempt == TRIES - 1 or time.monotonic() - start > PATIENCE:
                raise QvlError(
                    f"the store failed {attempt + 1} times in a row, the last time with: {line}; nothing is lost: run the "
                    "same command again when the store answers, and it continues where this run stopped"
                ) from None
            time.sleep(FIRST_PAUSE * 2**attempt)
        except (ValueError, TypeError) as error:
            if type(error) not in (ValueError, TypeError):  # of the data, such as a corrupted Parquet file
                raise
            raise QvlError(f"the store cannot be asked: {first_line(error)}; {SETTINGS}") from None
    raise AssertionError("unreachable")


def request(url: str, call: Callable[[Any, str], Result]) -> Result:
    """The answer of ``call(filesystem, path)`` about a file or folder of a store, repeated as by ``with_retries``."""
    filesystem, inner = open_filesystem(url)
    return with_retries(lambda: _with_cause(filesystem, inner, lambda: call(filesystem, inner)))


def _with_cause(filesystem: Any, inner: str, call: Callable[[], Result]) -> Result:
    """Run ``call``. A refusal that names no cause is replaced by one that does.

    The answer of S3 to a HEAD request has no body, so that an expired token looks like any other bad request; the answer to
    a GET request names it. Raises PermissionError for a refusal, and QvlError for a redirection that leads nowhere.
    """
    try:
        return call()
    except RecursionError:  # botocore asks for the region that a redirection does not name, and is redirected again
        raise QvlError(
            f"{inner}: the store redirects this request to another region and does not name it; "
            "set AWS_DEFAULT_REGION to the region of the bucket (docs/cluster.md)"
        ) from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            _raise_refusal(filesystem, inner)
        raise


def _raise_refusal(filesystem: Any, inner: str) -> None:
    """Raise PermissionError if the store refuses access to a file; what else is wrong with it does not matter here."""
    try:
        filesystem.cat_file(inner, start=0, end=1)
    except PermissionError:
        raise
    except Exception:  # noqa: BLE001 - the error that led here is raised
        return


@contextmanager
def _notice_of_waiting() -> Iterator[None]:
    """Say once on stderr that the store has not answered for NOTICE_AFTER seconds."""
    timer = threading.Timer(NOTICE_AFTER, _say_waiting)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say_waiting() -> None:
    warn(f"waiting for the store, which has not answered for {NOTICE_AFTER:g} seconds")


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in order. Up to ``CONCURRENT_REQUESTS`` calls run at the same time.

    ThreadPoolExecutor does not serve: the program waits for its threads when it ends, so that Ctrl-C or an error would
    wait for calls to a store that is frozen. The threads here are daemons.
    """
    waiting: queue.SimpleQueue[tuple[Future[Result], Item]] = queue.SimpleQueue()
    results: list[Future[Result]] = []
    for item in items:
        results.append(Future())
        waiting.put((results[-1], item))

    def work() -> None:
        while True:
            try:
                future, item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(function(item))
            except Exception as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)

    for _ in range(min(CONCURRENT_REQUESTS, len(results))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for future in results:
            yield future.result()
    finally:
        while not waiting.empty():
            with suppress(queue.Empty):
                waiting.get_nowait()


def _store_errors() -> tuple[type[Exception], ...]:
    """The exceptions that a failing store raises. A client that is not loaded cannot have raised any."""
    loaded = ((sys.modules.get(module), name) for module, name in CLIENT_ERRORS.items())
    return (OSError, *(getattr(module, name) for module, name in loaded if module is not None))


def open_filesystem(path: str) -> tuple[Any, str]:
    """The fsspec file system of a path or URL, and the path within it. Listings are not cached: others write there too.

    The file system of a web server adds the secret of the address to its requests; the path is without it.

    Raises RecipeError for a protocol that is unknown or whose package is missing.
    """
    options = _s3_options() if path.partition("://")[0] in S3 else {}
    try:
        if HTTP.match(path):
            return _web_files(path)
        filesystem, inner = fsspec.core.url_to_fs(path, use_listings_cache=False, **options)
    except (ImportError, ValueError, TypeError) as error:
        missing = isinstance(error, ImportError)
        hint = next((text for start, text in PACKAGES.items() if missing and path.startswith(f"{start}://")), "")
        raise RecipeError(f"{path}: {first_line(error)}{hint}") from None
    if options:
        filesystem.retries = 1  # of time-outs, each of which botocore has repeated already
    return filesystem, str(inner)


def _web_files(path: str) -> tuple[Any, str]:
    from qvl.pipeline.storage.web import WebFiles  # other files are read without aiohttp

    address = Address.of(path)
    options = {"use_listings_cache": False, "skip_instance_cache": address.is_signed}
    return WebFiles(user=address.user, query=address.query, **options), address.public


def _s3_options() -> dict[str, Any]:
    """Time-outs of botocore's requests, which the user's configuration of fsspec may change."""
    configured = fsspec.config.conf.get("s3", {})
    chosen = configured.get("config_kwargs", {}) if isinstance(configured, dict) else None
    if not isinstance(chosen, dict):
        raise RecipeError(f"FSSPEC_S3: config_kwargs must be a mapping; {SETTINGS}")
    return {"config_kwargs": {**TIMEOUTS, **chosen}}


def kind_of(url: str) -> str | None:
    """``file``, ``directory`` or None. fsspec's own ``exists`` would report that a failing store is empty."""
    try:
        return str(request(url, lambda filesystem, inner: filesystem.info(inner))["type"])
    except FileNotFoundError:
        return None
