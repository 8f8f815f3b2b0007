"""Where bytes lie: local files first, any fsspec URL behind the same few calls.

Local files are memory-mapped and never copied. A remote file is fetched whole into a temporary folder while it is read:
a unit is read once from start to end, so range requests would gain nothing.

A store that stumbles (500s, time-outs) is asked again, a bounded number of times; then the run stops with a QvlError. It
must not look like a file that cannot be read, which would cost a unit its rows.
"""

import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from qvl.pipeline.base.errors import QvlError, RecipeError

TRIES = 6
FIRST_PAUSE = 0.2  # seconds, doubled after every try
REQUESTS = 16  # to a store under way at once, per process
# errors of a store's client that its file system hands on as they are, by module
UNTRANSLATED = {"botocore.exceptions": "BotoCoreError", "aiohttp": "ClientError"}

Result = TypeVar("Result")


def with_retries(act: Callable[[], Result]) -> Result:
    """Do an act that may be repeated, again while the store answers with errors of its own.

    What the store says about the file (not there, there already, forbidden) is raised at once. Raises QvlError at the end.
    """
    for attempt in range(TRIES):
        try:
            return act()
        except (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError):
            raise
        except _store_errors() as error:
            line = (str(error) or type(error).__name__).splitlines()[0]
            if type(error).__name__.endswith("CredentialsError"):
                raise QvlError(f"the store asks for credentials ({line}); docs/cluster.md says how to log in") from None
            if attempt == TRIES - 1:
                raise QvlError(
                    f"the store failed {TRIES} times in a row, last with: {line}; nothing is lost: run the same command "
                    "again when it answers, it continues where this run was"
                ) from None
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise AssertionError("unreachable")


def _store_errors() -> tuple[type[Exception], ...]:
    """What a store's failures are raised as. Clients that are not loaded cannot have raised anything."""
    loaded = ((sys.modules.get(module), name) for module, name in UNTRANSLATED.items())
    return (OSError, *(getattr(module, name) for module, name in loaded if module is not None))


def open_filesystem(path: str) -> tuple[Any, str]:
    """The file system of a path or URL and the path in it. Listings are not remembered: others write there too.

    Raises RecipeError for a protocol that is unknown or whose package is missing.
    """
    try:
        filesystem, inner = fsspec.core.url_to_fs(path, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        way_out = "; pip install 'qvl[s3]'" if isinstance(error, ImportError) and path.startswith("s3") else ""
        raise RecipeError(f"{path}: {str(error).splitlines()[0]}{way_out}") from None
    return filesystem, str(inner)


def kind_of(url: str) -> str | None:
    """``file``, ``directory`` or None. Not fsspec's ``exists``, which takes a failing store for an empty one."""
    filesystem, inner = open_filesystem(url)
    try:
        return str(with_retries(lambda: filesystem.info(inner))["type"])
    except FileNotFoundError:
        return None


class Storage:
    """Reads of source files by local path or URL. Stateless and picklable; errors are OSError."""

    def is_local(self, path: str) -> bool:
        return "://" not in path or path.startswith("file://")

    def canonical(self, path: str) -> str:
        """The one spelling in which ``glob`` gives a path: absolute where local, with its protocol where remote."""
        filesystem, inner = open_filesystem(path)
        return str(inner) if self.is_local(path) else str(filesystem.unstrip_protocol(inner))

    def place(self, path: str) -> str:
        """Where a file lies: equal for all spellings of its folder; a link is a file of its own."""
        if not self.is_local(path):
            return self.canonical(path)
        plain = _plain(path)
        return str(Path(os.path.realpath(plain.parent)) / plain.name)

    def glob(self, pattern: str) -> list[str]:
        """Sorted files that match; a pattern without wildcard that names nothing gives an empty list."""
        filesystem, inner = open_filesystem(pattern)
        found = filesystem.glob(inner) if self.is_local(pattern) else with_retries(lambda: filesystem.glob(inner))
        return sorted(found if self.is_local(pattern) else (str(filesystem.unstrip_protocol(p)) for p in found))

    def size(self, path: str) -> int:
        """Bytes of the file."""
        if self.is_local(path):
            return _plain(path).stat().st_size
        filesystem, inner = open_filesystem(path)
        return int(with_retries(lambda: filesystem.size(inner)))

    def exists(self, path: str) -> bool:
        if self.is_local(path):
            return _plain(path).is_file()
        return kind_of(path) == "file"

    def is_folder(self, path: str) -> bool:
        if self.is_local(path):
            return _plain(path).is_dir()
        return kind_of(path) == "directory"

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Bytes [start, end)."""
        if self.is_local(path):
            with _plain(path).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        filesystem, inner = open_filesystem(path)
        return bytes(with_retries(lambda: filesystem.cat_file(inner, start=start, end=end)))

    def read_ranges(self, path: str, spans: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Bytes of each span [start, end) of a remote file, in order; ``REQUESTS`` are under way at once."""
        with ThreadPoolExecutor(REQUESTS) as threads:
            yield from threads.map(lambda span: self.read_range(path, *span), spans)

    def read(self, path: str) -> bytes:
        """The whole file."""
        return self.read_range(path, 0, self.size(path))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """A local path with the file's bytes, for as long as the context lasts."""
        if self.is_local(path):
            yield _plain(path)
            return
        filesystem, inner = open_filesystem(path)
        with tempfile.TemporaryDirectory(prefix="qvl-fetch-") as folder:
            target = Path(folder) / Path(inner).name
            with_retries(lambda: filesystem.get_file(inner, str(target)))
            yield target

    @contextmanager
    def mapped(self, path: str) -> Iterator[memoryview]:
        """The file as read-only memory; an empty file gives an empty view."""
        with self.local(path) as local:
            if local.stat().st_size == 0:
                yield memoryview(b"")
                return
            with local.open("rb") as file:
                # never closed by hand: views of it may live on, the last one frees it
                yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _plain(path: str) -> Path:
    return Path(path.removeprefix("file://"))
