"""Outputs on stores behind fsspec (S3, ...): a place there, with the part of ``pathlib.Path`` that outputs use.

Everything that a stage writes for another one lies below one ``AnyPath``: a local folder or such a URL. Files on a store are
written whole and are never remembered: every read asks the store. Each call is repeated while the store stumbles.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TypeVar

from qvl.pipeline.base.errors import QvlError, RecipeError
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.storage.stores import CONCURRENT_REQUESTS, kind_of, open_filesystem, with_retries

# stores whose file system can create a file only where there is none, in one step
CONDITIONAL = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class StorePath:
    """A file or folder on a store, by URL without a slash at its end. Picklable."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "StorePath":
        return StorePath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "StorePath":
        return StorePath(self.url.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> "StorePath":
        return self.parent / str(PurePosixPath(self.name).with_suffix(suffix))

    def resolve(self) -> "StorePath":
        """Itself: a URL does not depend on where the command runs."""
        return self

    def is_file(self) -> bool:
        return kind_of(self.url) == "file"

    def is_dir(self) -> bool:
        return kind_of(self.url) == "directory"

    def size(self) -> int:
        """Bytes. Raises FileNotFoundError."""
        return Storage().size(self.url)

    def modified(self) -> datetime:
        """When the file was last written, by the store's clock. Raises FileNotFoundError."""
        filesystem, inner = open_filesystem(self.url)
        found: datetime = with_retries(lambda: filesystem.modified(inner))
        return found

    def read_bytes(self) -> bytes:
        """The whole file in one request. Raises FileNotFoundError."""
        filesystem, inner = open_filesystem(self.url)
        return bytes(with_retries(lambda: filesystem.cat_file(inner)))

    def read_range(self, start: int, end: int) -> bytes:
        """Bytes [start, end); fewer where the file ends before."""
        return Storage().read_range(self.url, start, end)

    def glob(self, pattern: str) -> Iterator["StorePath"]:
        """Files of this folder whose names match, sorted; none where there is no folder."""
        filesystem, inner = open_filesystem(self.url)
        try:
            found = with_retries(lambda: filesystem.ls(inner, detail=False))
        except FileNotFoundError:
            return
        names = sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)
        yield from (self / name for name in names if fnmatchcase(name, pattern))

    def write_bytes(self, data: bytes) -> None:
        """Create or replace the file, in one step: a reader sees the old bytes or the new ones."""
        filesystem, inner = open_filesystem(self.url)
        with_retries(lambda: filesystem.pipe_file(inner, data))

    def upload(self, written: Path) -> None:
        """A local file to here, in one step."""
        filesystem, inner = open_filesystem(self.url)
        with_retries(lambda: filesystem.put_file(str(written), inner))

    def create(self, data: bytes) -> bytes:
        """Write the file only where there is none (S3: ``If-None-Match: *``). Returns what lies there: the first wins.

        What lies there is read back: the answer to a write that arrived may have been lost, and its repetition refused.
        """
        filesystem, inner = open_filesystem(self.url)

        def write() -> None:
            try:
                filesystem.pipe_file(inner, data, mode="create")
            except FileExistsError:
                return
            except OSError:  # stores say in many ways that a file is there already
                if not self.is_file():
                    raise

        with_retries(write)
        try:
            return self.read_bytes()
        except FileNotFoundError:
            raise QvlError(f"{self}: was written and is not there; is something else deleting files?") from None

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file; on a store nothing tells whether it was there."""
        filesystem, inner = open_filesystem(self.url)
        try:
            with_retries(lambda: filesystem.rm_file(inner))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_tree(self) -> None:
        """Remove everything below; a folder that is not there is fine."""
        filesystem, inner = open_filesystem(self.url)
        try:
            with_retries(lambda: filesystem.rm(inner, recursive=True))
        except FileNotFoundError:
            return


AnyPath = Path | StorePath


def parse_path(text: str | Path) -> AnyPath:
    """The place that a user names, path or URL. Raises RecipeError for a store that cannot hold outputs."""
    text = str(text)
    if text.partition(":/")[0] in CONDITIONAL and "://" not in text:
        raise RecipeError(f"{text}: a URL has two slashes behind its colon")
    if Storage().is_local(text):
        return Path(text.removeprefix("file://"))
    protocol = text.partition("://")[0]
    if protocol not in CONDITIONAL:
        raise RecipeError(
            f"{text}: outputs need a store that can create a file only where there is none; {protocol} is not known to. "
            f"Choose a local folder or one of {', '.join(f'{name}://' for name in CONDITIONAL)}"
        )
    return StorePath(Storage().canonical(text).rstrip("/"))


def size_of(path: AnyPath) -> int:
    """Size of a file in bytes. Raises FileNotFoundError."""
    return path.size() if isinstance(path, StorePath) else path.stat().st_size


def remove_tree(folder: AnyPath) -> None:
    """Remove a folder and all that it holds. A folder that is missing is fine; one that cannot be removed is an error."""
    if isinstance(folder, StorePath):
        folder.remove_tree()
    elif folder.exists():
        shutil.rmtree(folder)


def map_concurrently(output: AnyPath, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Results in order: with threads if the output is on a store, where calls wait for answers; one by one on a disk."""
    return [function(item) for item in items] if isinstance(output, Path) else map_with_threads(function, items)


def map_with_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Results in order. Up to ``CONCURRENT_REQUESTS`` calls run at the same time."""
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as threads:
        return list(threads.map(function, items))
