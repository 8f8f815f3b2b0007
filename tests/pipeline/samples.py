"""Inputs that the tests build: pictures, tars and tables, small and the same in every run."""

import io
import json
import tarfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from qvl.pipeline.sources.base import ImageReference, Row, Source
from qvl.pipeline.storage.reader import Storage


def picture(width: int = 40, height: int = 30, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Noise, so that files are big enough to be cut and no two seeds are alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    return Image.fromarray(noise, "RGBA" if mode in ("RGBA", "LA", "PA") else None).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file of this kind."""
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


@lru_cache(maxsize=256)
def jpeg(seed: int = 0, width: int = 40, height: int = 30) -> bytes:
    """A small JPEG, another one for every seed."""
    return encoded(picture(width, height, seed=seed), "jpeg", quality=60)


def tar_bytes(members: Iterable[tuple[str, bytes]], layout: int = tarfile.USTAR_FORMAT) -> bytes:
    """An archive of regular files in this order, written by the standard library."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=layout) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


def write_img2dataset(folder: Path, name: str, rows: list[dict[str, Any]], count: int | None = None) -> Path:
    """A tar, its table and its statistics as img2dataset writes them. ``rows``: key, caption, image (None: failed)."""
    members = []
    for row in rows:
        if row["image"] is not None:
            meta = {"caption": row["caption"], "url": row["url"], "key": row["key"], "status": "success"}
            members.append((f"{row['key']}.jpg", row["image"]))
            members.append((f"{row['key']}.txt", row["caption"].encode()))
            members.append((f"{row['key']}.json", json.dumps(meta).encode()))
    statuses = ["success" if row["image"] is not None else "failed_to_download" for row in rows]
    table = {name: [row[name] for row in rows] for name in ("key", "caption", "url")}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**table, "status": statuses}), folder / f"{name}.parquet")
    stats = {"count": len(rows) if count is None else count, "successes": statuses.count("success")}
    (folder / f"{name}_stats.json").write_text(json.dumps(stats))
    path = folder / f"{name}.tar"
    path.write_bytes(tar_bytes(members))
    return path


def read_all(source: Source, storage: Storage) -> list[Row]:
    """Every row of every unit; images are copied out, and must be found again by ``images``."""
    result: list[Row] = []
    for unit in source.units(storage):
        rows = []
        for batch in source.read(unit, storage):
            for row in batch:
                row.image = bytes(row.image) if row.image is not None else None
                rows.append(row)
        wanted = [ImageReference(i, row.locator, len(row.image)) for i, row in enumerate(rows) if row.image is not None]
        found = source.images(unit, wanted[::-1], storage) if wanted else iter(())
        again = {row: bytes(data) for row, data in found}
        assert again == {i: row.image for i, row in enumerate(rows) if row.image is not None}
        result.extend(rows)
    return result


def faults(rows: list[Row]) -> dict[str, str | None]:
    """Fault by key."""
    return {row.key: row.fault for row in rows}
