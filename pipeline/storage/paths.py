"""Paths on stores behind fsspec (S3, ...), with the part of the interface of ``pathlib.Path`` that outputs use.

Everything that one stage writes for another is below one ``AnyPath``: a local folder or such a URL. Files on a store are
written whole and never cached: every read asks the store. Each call is repeated while the store fails. universal-pathlib
adds neither such retries to fsspec nor the atomic create that commits rely on.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from qvl.pipeline.base.errors import QvlError, RecipeError, require_utf8
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.storage.stores import S3, kind_of, map_in_threads, open_filesystem, request

# stores whose fsspec file system can create a file atomically if none exists
CONDITIONAL = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class StorePath:
    """A file or folder on a store, by its URL without a trailing slash. Picklable."""

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
        """Size in bytes. Raises FileNotFoundError."""
        return Storage().size(self.url)

    def modified(self) -> datetime:
        """When the file was last written, by the clock of the store. Raises FileNotFoundError."""
        found: datetime = request(self.url, lambda filesystem, inner: filesystem.modified(inner))
        return found

    def read_bytes(self) -> bytes:
        """The whole file in one request. Raises FileNotFoundError."""
        return bytes(request(self.url, lambda filesystem, inner: filesystem.cat_file(inner)))

    def read_range(self, start: int, end: int) -> bytes:
        """Bytes [start, end); fewer if the file ends earlier."""
        return Storage().read_range(self.url, start, end)

    def glob(self, pattern: str) -> Iterator["StorePath"]:
        """Files of this folder whose names match, sorted; none if the folder does not exist."""
        try:
            found = request(self.url, lambda filesystem, inner: filesystem.ls(inner, detail=False))
        except FileNotFoundError:
            return
        names = sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)
        yield from (self / name for name in names if fnmatchcase(name, pattern))

    def write_bytes(self, data: bytes) -> None:
        """Create or replace the file in one step: a reader sees the old bytes or the new ones."""
        request(self.url, lambda filesystem, inner: filesystem.pipe_file(inner, data))

    def upload(self, written: Path) -> None:
        """Upload a local file to this path, in one step."""
        request(self.url, lambda filesystem, inner: filesystem.put_file(str(written), inner))

    def create(self, data: bytes) -> bytes:
        """Write the file if none exists (S3: ``If-None-Match: *``). Returns the file's content: the first write wins.

        The content is read back, because the answer to a successful write may be lost, and its repetition is then refused.
        """

        def write(filesystem: Any, inner: str) -> None:
            try:
                filesystem.pipe_file(inner, data, mode="create")
            except FileExistsError:
                return
            except OSError:  # stores report in many ways that the file exists already
                if not self.is_file():
                    raise

        request(self.url, write)
        try:
            return self.read_bytes()
        except FileNotFoundError:
            raise QvlError(f"{self}: was written but is missing; is another process deleting files?") from None

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file. Some stores do not report whether it existed."""
        try:
            request(self.url, lambda filesystem, inner: filesystem.rm_file(inner))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_tree(self) -> None:
        """Remove everything below this folder; a missing folder is fine."""
        try:
            request(self.url, lambda filesystem, inner: filesystem.rm(inner, recursive=True))
        except FileNotFoundError:
            return

    def abort_uploads(self) -> None:
        """Abort the uploads in parts below this folder that nobody finished: S3 keeps and charges what they hold.

        Call this only while holding the output's lock. Does nothing on other stores, and where the store forbids it.
        """
        if self.url.partition("://")[0] not in S3:
            return
        filesystem, inner = open_filesystem(self.url)
        bucket, _, prefix = inner.partition("/")
        try:
            found = filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/" if prefix else "")
            for upload in found.get("Uploads", []):
                filesystem.call_s3(
                    "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
        except OSError:  # forbidden, or not implemented: the rule of the bucket that ends old uploads remains
            return


AnyPath = Path | StorePath


def parse_path(text: str | Path) -> AnyPath:
    """The path or URL that a user typed.

    Raises RecipeError for a store that cannot hold outputs, and for a name that is not UTF-8.
    """
    text = str(text)
    require_utf8(str(Path(text).absolute()) if Storage().is_local(text) else text)
    if text.partition(":/")[0] in CONDITIONAL and "://" not in text:
        raise RecipeError(f"{text}: a URL has two slashes after the colon")
    if Storage().is_local(text):
        return Path(text.removeprefix("file://"))
    protocol = text.partition("://")[0]
    if protocol not in CONDITIONAL:
        raise RecipeError(
            f"{text}: outputs need a store that can create a file only if it does not exist; {protocol} is not known to. "
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
    return list(map_in_threads(function, items))
