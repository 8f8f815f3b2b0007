"""Rows of WebDataset tars."""

from pathlib import Path
from typing import Any

from qvl.pipeline.sources.base import Row
from qvl.pipeline.sources.webdataset import WebDataset
from qvl.pipeline.storage.reader import Storage
from tests.pipeline.samples import read_all, tar_bytes


def rows_of(path: Path, storage: Storage, **options: Any) -> list[Row]:
    return read_all(WebDataset(paths=(str(path),), **options), storage)


def rows_in(folder: Path, members: list[tuple[str, bytes]], storage: Storage, **options: Any) -> list[Row]:
    (folder / "x.tar").write_bytes(tar_bytes(members))
    return rows_of(folder / "x.tar", storage, **options)


def row(key: str, image: bytes | None, caption: str = "a dog") -> dict[str, Any]:
    return {"key": key, "caption": caption, "url": f"http://x/{key}", "image": image}
