"""Reading source files, local or behind any fsspec URL, with the same few calls.

Local files are memory-mapped and never copied. A remote file is downloaded whole into a temporary folder while it is read:
a unit is read once from start to end, so that range requests would gain nothing.
"""

import mmap
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qvl.pipeline.base.addresses import Address, public_address
from qvl.pipeline.base.errors import AccessRefused, RecipeError, require_utf8
from qvl.pipeline.storage.stores import kind_of, map_in_threads, open_filesystem, request


class Storage:
    """Reads source files by local path or URL. Stateless and picklable; its errors are OSErrors."""

    def is_local(self, path: str) -> bool:
        return "://" not in path or path.startswith("file://")

    def canonical(self, path: str) -> str:
        """The path as ``glob`` spells it: absolute if it is local, with its protocol and its secret if it is remote."""
        filesystem, inner = open_filesystem(path)
        return str(inner) if self.is_local(path) else Address.of(path).at(str(filesystem.unstrip_protocol(inner)))

    def identity(self, path: str) -> str:
        """One spelling for all paths to a file, without the secret of an address.

        Links in its folders are resolved; a link to a file is a file of its own.
        """
        if not self.is_local(path):
            return public_address(self.canonical(path))
        local = _local_path(path)
        return str(Path(os.path.realpath(local.parent)) / local.name)

    def glob(self, pattern: str) -> list[str]:
        """Sorted files that match; a pattern without wildcards that names no file gives an empty list.

        Raises RecipeError for a pattern that means nothing, such as ``a**``, and for a file whose name is not UTF-8.
        """
        filesystem, inner = open_filesystem(pattern)
        try:
            if self.is_local(pattern):
                found = filesystem.glob(inner)
                for path in found:
                    require_utf8(path)
                return sorted(found)
            found = request(pattern, lambda filesystem, inner: filesystem.glob(inner))
        except (ValueError, re.error) as error:
            raise RecipeError(f"{pattern}: not a pattern: {error}") from None
        address = Address.of(pattern)
        return sorted(address.at(str(filesystem.unstrip_protocol(path))) for path in found)

    def size(self, path: str) -> int:
        """Size of the file in bytes."""
        if self.is_local(path):
            return _local_path(path).stat().st_size
        return int(request(path, lambda filesystem, inner: filesystem.size(inner)))

    def exists(self, path: str) -> bool:
        """Whether there is a file (not a folder) at ``path``."""
        if self.is_local(path):
            return _local_path(path).is_file()
        return kind_of(path) == "file"

    def has_side_file(self, path: str, side: str) -> bool:
        """Whether the file ``side``, which need not exist, is there to complete ``path``.

        A token that opens only ``path`` gives False. Raises AccessRefused if the token does not open ``path`` either.
        """
        try:
            return self.exists(side)
        except AccessRefused:
            self.size(path)
            return False

    def is_folder(self, path: str) -> bool:
        if self.is_local(path):
            return _local_path(path).is_dir()
        return kind_of(path) == "directory"

    def read_range(self, path: str, start: int, end: int) -> bytes:
        """Bytes [start, end)."""
        if self.is_local(path):
            with _local_path(path).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        return bytes(request(path, lambda filesystem, inner: filesystem.cat_file(inner, start=start, end=end)))

    def read_ranges(self, path: str, spans: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """Bytes of each span [start, end) of a remote file, in order; up to ``CONCURRENT_REQUESTS`` are read at once."""
        yield from map_in_threads(lambda span: self.read_range(path, *span), spans)

    def read(self, path: str) -> bytes:
        """The whole file."""
        return self.read_range(path, 0, self.size(path))

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """A local path with the file's bytes, valid while the context is open."""
        if self.is_local(path):
            yield _local_path(path)
            return
        with tempfile.TemporaryDirectory(prefix="qvl-fetch-") as folder:
            target = Path(folder) / Path(open_filesystem(path)[1]).name
            request(path, lambda filesystem, inner: filesystem.get_file(inner, str(target)))
            yield target

    @contextmanager
    def mapped(self, path: str) -> Iterator[memoryview]:
        """The file as read-only memory; an empty file gives an empty view."""
        with self.local(path) as local:
            if local.stat().st_size == 0:
                yield memoryview(b"")
                return
            with local.open("rb") as file:
                # not closed here: callers may keep views of it, and the last view to go frees the mapping
                yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _local_path(path: str) -> Path:
    return Path(path.removeprefix("file://"))
