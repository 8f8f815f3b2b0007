"""The commit on stores behind fsspec: manifests by conditional create, files by content, the same promises as on a disk.

A manifest is created with one conditional write (S3: ``PutObject`` with ``If-None-Match: *``): the first attempt wins, a
later one must bring the same bytes. Files are named by their hash, so two attempts never write one name with different
bytes, and become part of the dataset only through the manifest that names them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import orjson

from pipeline.commit import file_hash
from pipeline.errors import ContractError, QvlError
from pipeline.fingerprint import content_hash

TRIES = 6
FIRST_PAUSE = 0.2  # seconds, doubled after every try

Result = TypeVar("Result")


@dataclass(frozen=True)
class Store:
    """A folder on any fsspec store that can create a file only where there is none. Stateless and picklable.

    ``options`` go to the file system (``endpoint_url``, credentials are the store's own business).
    """

    url: str
    options: tuple[tuple[str, Any], ...] = ()

    def _open(self) -> tuple[Any, str]:
        filesystem, root = fsspec.core.url_to_fs(self.url, **dict(self.options))
        return filesystem, str(root).rstrip("/")

    def read(self, name: str) -> bytes | None:
        """Bytes of a file, or None where there is none."""
        filesystem, root = self._open()

        def get() -> bytes | None:
            try:
                return bytes(filesystem.cat_file(f"{root}/{name}"))
            except FileNotFoundError:
                return None

        return persistently(get)

    def publish(self, written: Path, folder: str) -> str:
        """Upload a finished file under its hash; what is there already is not sent again. Returns its name."""
        filesystem, root = self._open()
        name = f"{folder}/{file_hash(written)}{written.suffix}"

        def put() -> None:
            filesystem.invalidate_cache()
            if not filesystem.exists(f"{root}/{name}") or filesystem.size(f"{root}/{name}") != written.stat().st_size:
                filesystem.put_file(str(written), f"{root}/{name}")

        persistently(put)
        return name

    def create_manifest(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        """Create the manifest if there is none; the first wins. Returns the manifest that counts.

        Raises ContractError where a committed manifest disagrees, QvlError where the store stays out of reach.
        """
        filesystem, root = self._open()
        path = f"{root}/{name}"
        data = orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

        def create() -> None:
            try:
                filesystem.pipe_file(path, data, mode="create")
            except FileExistsError:
                return

        persistently(create)
        # the answer to a write that arrived may have been lost: only what lies there tells who won
        committed = self.read(name)
        if committed is None:
            raise QvlError(f"{self.url}/{name}: was written but cannot be read; is this store consistent?")
        if committed != data:
            raise ContractError(_disagreement(f"{self.url}/{name}", committed, content))
        return content

    def read_manifest(self, name: str) -> dict[str, Any] | None:
        """The committed manifest, or None where the work is not done."""
        data = self.read(name)
        return None if data is None else orjson.loads(data)

    def fetch(self, name: str, target: Path) -> None:
        """A committed file to a local one, checked against the hash in its name. Raises ContractError for other bytes."""
        data = self.read(name)
        if data is None or content_hash(data) != Path(name).stem:
            raise ContractError(
                f"{self.url}/{name}: {'is gone' if data is None else 'its bytes are not those committed'}"
            )
        target.write_bytes(data)


def _disagreement(place: str, committed: bytes, content: dict[str, Any]) -> str:
    before = orjson.loads(committed)
    keys = sorted(key for key in {*before, *content} if before.get(key) != content.get(key))
    return f"{place}: a second attempt came to other results ({', '.join(keys)}); the work is not deterministic"


def persistently(act: Callable[[], Result]) -> Result:
    """Try an idempotent act a bounded number of times while the store answers with errors of its own (500s, time-outs)."""
    for attempt in range(TRIES):
        try:
            return act()
        except (FileNotFoundError, FileExistsError, PermissionError):
            raise
        except OSError as error:  # fsspec translates what a store answers into these
            if attempt == TRIES - 1:
                raise QvlError(
                    f"the store failed {TRIES} times in a row, last with: {str(error).splitlines()[0]}"
                ) from None
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise AssertionError("unreachable")
