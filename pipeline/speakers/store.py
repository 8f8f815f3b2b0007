"""The store of answers: every reply that was paid for, by the key of its question. The first reply to a question stays.

In a folder it is an SQLite file, which several processes of a machine may use at the same time. On a store such as S3 every
reply is an object. A reply is on the disk, or on the store, before ``add`` returns.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

from qvl.pipeline.base.errors import DataError, QvlError
from qvl.pipeline.commit.records import decode, encode
from qvl.pipeline.speakers.reply import Reply
from qvl.pipeline.storage.paths import AnyPath, StorePath, map_with_threads

FILE = "answers.sqlite"
KEYS_PER_QUERY = 500
PATIENCE = 120.0  # seconds that a process waits for another one which writes

Result = TypeVar("Result")


class AnswerStore(Protocol):
    """Replies by the keys of their questions."""

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Reply]:
        """Those of the keys that have a reply."""
        ...

    def add(self, key: bytes, reply: Reply) -> Reply:
        """Store a reply, unless there is one. Returns the one that is stored."""
        ...

    def close(self) -> None: ...


def open_store(folder: AnyPath) -> AnswerStore:
    """The store in a folder, which is created."""
    return ObjectStore(folder) if isinstance(folder, StorePath) else SqliteStore(folder)


class SqliteStore:
    """A store in one file. Threads that add at the same time share one commit."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self._reading, self._writing, self._queueing = threading.Lock(), threading.Lock(), threading.Lock()
        self._queue: dict[bytes, bytes] = {}
        self._connection = self._guarded(self._connect)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        connection.execute("pragma synchronous = extra")
        connection.execute(
            "create table if not exists answers (key blob primary key, reply blob not null) without rowid"
        )
        return connection

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Reply]:
        wanted = list(dict.fromkeys(keys))
        starts = range(0, len(wanted), KEYS_PER_QUERY)
        rows = [row for start in starts for row in self._rows(wanted[start : start + KEYS_PER_QUERY])]
        return {bytes(key): decode(Reply, bytes(reply), str(self.path)) for key, reply in rows}

    def _rows(self, keys: list[bytes]) -> list[tuple[bytes, bytes]]:
        query = f"select key, reply from answers where key in ({', '.join('?' * len(keys))})"
        with self._reading:
            return self._guarded(lambda: self._connection.execute(query, keys).fetchall())

    def add(self, key: bytes, reply: Reply) -> Reply:
        stored = None
        while stored is None:  # a second time only where another thread failed to write it
            with self._queueing:
                self._queue[key] = encode(reply)
            self._write_queue()
            stored = self.find([key]).get(key)
        return stored

    def _write_queue(self) -> None:
        with self._writing:  # whoever comes first writes what all others have queued meanwhile
            with self._queueing:
                queued, self._queue = self._queue, {}
            if queued:
                self._guarded(lambda: self._write(queued))

    def _write(self, replies: Mapping[bytes, bytes]) -> None:
        with self._reading:
            self._connection.execute("begin immediate")
            try:
                self._connection.executemany("insert or ignore into answers values (?, ?)", replies.items())
                self._connection.execute("commit")
            except BaseException:
                self._connection.execute("rollback")
                raise

    def close(self) -> None:
        self._connection.close()

    def _guarded(self, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except sqlite3.OperationalError as error:
            raise QvlError(
                f"{self.path}: the store of answers cannot be used: {error}; nothing that it holds is lost"
            ) from None
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.path}: the store of answers is corrupted ({error}); restore it from a copy"
            ) from None


class ObjectStore:
    """A store with one object for each reply."""

    def __init__(self, folder: StorePath) -> None:
        self.folder = folder

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Reply]:
        wanted = list(dict.fromkeys(keys))
        found = map_with_threads(self._read, wanted)
        return {key: reply for key, reply in zip(wanted, found, strict=True) if reply is not None}

    def add(self, key: bytes, reply: Reply) -> Reply:
        path = self._path(key)
        return decode(Reply, path.create(encode(reply)), str(path))

    def close(self) -> None:
        """Nothing is open."""

    def _path(self, key: bytes) -> StorePath:
        name = key.hex()
        return self.folder / name[:2] / f"{name}.json"

    def _read(self, key: bytes) -> Reply | None:
        path = self._path(key)
        try:
            return decode(Reply, path.read_bytes(), str(path))
        except FileNotFoundError:
            return None


def opened(folder: AnyPath) -> "closing[AnswerStore]":
    """The store in a folder, closed at the end of a ``with`` block."""
    return closing(open_store(folder))
