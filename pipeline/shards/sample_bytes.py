"""Bytes of single samples: local shards are read by position, remote ones by range until a bounded local cache holds them.

A remote shard that will be needed is downloaded in the background (``FetchAhead``); until it has arrived, each sample costs
one range request. The cache holds at most ``limit`` bytes over all processes of a machine that share its folder; the shards
that were fetched longest ago are evicted. Any number of processes may share a folder, because files appear by rename.
No library serves: fsspec's file cache has neither a byte limit across processes nor reads during the download.
"""

import os
import queue
import threading
from pathlib import Path

import fsspec
import xxhash
from cachetools import LRUCache

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.storage.atomic import replacing
from qvl.pipeline.storage.reader import Storage

OPEN_FILES = 256
ATTEMPTS = 3
CHECKED_BYTES = 16 << 20
CACHE_BYTES = 32 << 30


class OpenFiles(LRUCache[str, int]):
    """File descriptors by path. The least recently used one is closed when the cache is full."""

    def popitem(self) -> tuple[str, int]:
        path, descriptor = super().popitem()
        os.close(descriptor)
        return path, descriptor


class ShardBytes:
    """Reads byte ranges of shards. Picklable: a copy opens its own files. Not for several threads at once.

    Raises OSError if a shard cannot be read and DataError if it is truncated.
    """

    def __init__(self, cache: Path | None = None, limit: int = CACHE_BYTES) -> None:
        self.cache, self.limit = cache, limit
        self._storage = Storage()
        self._files = OpenFiles(OPEN_FILES)

    def __getstate__(self) -> dict[str, object]:
        return {"cache": self.cache, "limit": self.limit, "_storage": self._storage, "_files": OpenFiles(OPEN_FILES)}

    def read(self, tar: str, start: int, size: int) -> bytes:
        """``size`` bytes from ``start`` of a shard. Raises DataError where the shard ends before them."""
        if start < 0 or size < 0:
            raise DataError(f"{tar}: {size} bytes at {start} cannot be read")
        local = tar if self._storage.is_local(tar) else self._cached(tar)
        data = self._range(tar, start, start + size) if local is None else self._pread(local, start, size)
        if len(data) != size:
            raise DataError(f"{tar}: truncated, {len(data)} of {size} bytes at {start}")
        return data

    def _pread(self, path: str, start: int, size: int) -> bytes:
        descriptor = self._descriptor(path)
        if size > CHECKED_BYTES:  # memory for so much is taken only if the file holds it
            size = max(0, min(size, os.fstat(descriptor).st_size - start))
        return os.pread(descriptor, size, start)

    def close(self) -> None:
        """Close all open files."""
        while self._files:
            self._files.popitem()

    def _descriptor(self, path: str) -> int:
        descriptor = self._files.get(path)
        if descriptor is None:
            descriptor = self._files[path] = os.open(path.removeprefix("file://"), os.O_RDONLY)
        return descriptor

    def _range(self, tar: str, start: int, end: int) -> bytes:
        """A range request, tried a few times: stores sometimes answer slowly or not at all."""
        for attempt in range(ATTEMPTS):
            try:
                return self._storage.read_range(tar, start, end)
            except FileNotFoundError:
                raise
            except OSError:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _cached(self, tar: str) -> str | None:
        if self.cache is None:
            return None
        path = cached_path(self.cache, tar)
        if str(path) not in self._files and not path.exists():
            return None
        return str(path)


def cached_path(cache: Path, tar: str) -> Path:
    """The path of a remote shard in the cache."""
    return cache / f"{xxhash.xxh3_64_hexdigest(tar.encode())}.tar"


class FetchAhead:
    """One thread that downloads whole remote shards into the cache before they are read."""

    def __init__(self, cache: Path, limit: int = CACHE_BYTES) -> None:
        self._cache, self._limit = cache, limit
        self._wanted: queue.Queue[str | None] = queue.Queue()
        self._requested: set[str] = set()
        self.failures = 0
        cache.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._work, name="fetch-ahead", daemon=True)
        self._thread.start()

    def want(self, tar: str) -> None:
        """Request a shard and return at once. A shard that was evicted in the meantime is fetched again."""
        if "://" in tar and not tar.startswith("file://") and tar not in self._requested:
            self._requested.add(tar)
            self._wanted.put(tar)

    def wait(self) -> None:
        """Wait until every requested shard has arrived or failed."""
        self._wanted.join()

    def close(self) -> None:
        """End the thread after the shard that it is fetching; drop the other requests."""
        while not self._wanted.empty():
            self._wanted.get_nowait()
            self._wanted.task_done()
        self._wanted.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (tar := self._wanted.get()) is not None:
            try:
                self._fetch(tar)
            except OSError:  # range requests still work, or report the error: a failed fetch only costs time
                self.failures += 1
            finally:
                self._requested.discard(tar)
                self._wanted.task_done()
        self._wanted.task_done()

    def _fetch(self, tar: str) -> None:
        target = cached_path(self._cache, tar)
        if target.exists():
            target.touch()
            return
        filesystem, inner = fsspec.core.url_to_fs(tar)
        self._make_room(int(filesystem.size(inner)))
        with replacing(target) as part:
            filesystem.get_file(inner, str(part))

    def _make_room(self, size: int) -> None:
        """Remove the shards that were fetched longest ago; readers that have one open can still read it."""
        held = []
        for path in self._cache.glob("*.tar"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process made room at the same time
                continue
            held.append((status.st_mtime_ns, status.st_size, path))
        total = sum(bytes_ for _, bytes_, _ in held) + size
        for _, bytes_, path in sorted(held):
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= bytes_
