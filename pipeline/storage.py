"""Where bytes lie: local files first, any fsspec URL behind the same few calls.

Local files are memory-mapped and never copied. A remote file is fetched whole into a temporary folder while it is read:
a unit is read once from start to end, so range requests would gain nothing.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec


class Storage:
    """Reads of source files by local path or URL. Stateless and picklable; errors are OSError."""

    def is_local(self, path: str) -> bool:
        return "://" not in path or path.startswith("file://")

    def canonical(self, path: str) -> str:
        """The one spelling in which ``glob`` gives a path: absolute where local, with its protocol where remote."""
        filesystem, inner = fsspec.core.url_to_fs(path)
        return str(inner) if self.is_local(path) else str(filesystem.unstrip_protocol(inner))

    def place(self, path: str) -> str:
        """Where a file lies: equal for all spellings of its folder; a link is a file of its own."""
        if not self.is_local(path):
            return self.canonical(path)
        plain = _plain(path)
        return str(Path(os.path.realpath(plain.parent)) / plain.name)

    def glob(self, pattern: str) -> list[str]:
        """Sorted files that match; a pattern without wildcard that names nothing gives an empty list."""
        filesystem, inner = fsspec.core.url_to_fs(pattern)
        found = filesystem.glob(inner)
        return sorted(found if self.is_local(pattern) else (str(filesystem.unstrip_protocol(p)) for p in found))

    def size(self, path: str) -> int:
        """Bytes of the file."""
        if self.is_local(path):
            return _plain(path).stat().st_size
        filesystem, inner = fsspec.core.url_to_fs(path)
        return int(filesystem.size(inner))

    def exists(self, path: str) -> bool:
        if self.is_local(path):
            return _plain(path).is_file()
        filesystem, inner = fsspec.core.url_to_fs(path)
        return bool(filesystem.exists(inner))

    def is_folder(self, path: str) -> bool:
        if self.is_local(path):
            return _plain(path).is_dir()
        filesystem, inner = fsspec.core.url_to_fs(path)
        return bool(filesystem.isdir(inner))

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Bytes [start, end)."""
        if self.is_local(path):
            with _plain(path).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        filesystem, inner = fsspec.core.url_to_fs(path)
        return bytes(filesystem.cat_file(inner, start=start, end=end))

    def read(self, path: str) -> bytes:
        """The whole file."""
        return self.read_range(path, 0, self.size(path))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """A local path with the file's bytes, for as long as the context lasts."""
        if self.is_local(path):
            yield _plain(path)
            return
        filesystem, inner = fsspec.core.url_to_fs(path)
        with tempfile.TemporaryDirectory(prefix="qvl-fetch-") as folder:
            target = Path(folder) / Path(inner).name
            filesystem.get_file(inner, str(target))
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
