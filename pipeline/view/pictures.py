"""Pictures of rows and samples, always re-encoded: no byte of an untrusted file reaches the browser's decoders."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import xxhash

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.curate.measuring.columns import split_sample_id
from qvl.pipeline.images.thumbnail import CHANGED, DELETED, NO_PICTURE, REMOTE, NoThumbnail, refuse, webp
from qvl.pipeline.recipe.source import reader
from qvl.pipeline.sources.base import Bytes, ImageReference
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.view import predictions, samples
from qvl.pipeline.view.output import Output
from qvl.pipeline.view.tables.database import rows

SIDES = (160, 320, 1024, 2048)
NEEDED = "verdict, locator, image_bytes, image_hash, width, height"


def picture(output: Output, cursor: Any, table: str, key: str, number: int, side: int) -> bytes:
    """A WebP of at most ``side`` pixels (one of ``SIDES``). Raises DataError with the reason why there is none."""
    if side not in SIDES:
        raise DataError(f"pictures have sides of {', '.join(map(str, SIDES))} pixels")
    if table == "samples":
        return webp(samples.image(samples.by_key(cursor, key), number), side)
    if output.table(table).predicted:
        return webp(predictions.image(output, output.query(cursor, table, []), key, number), side)
    if table != "rows":
        raise DataError(f"rows of {table} have no pictures")
    unit, row = split(key)
    manifest = output.unit(unit)
    if key in output.revoked:
        raise NoThumbnail(f"taken down on {output.revoked[key].date}")
    if unit in output.units:
        return webp(_from_source(output, cursor, unit, row), side)
    stored = samples.of_row(cursor, manifest.source, manifest.name, row) if "samples" in output.tables else []
    revoked = (
        [record for sample, record in output.revoked.items() if sample.rpartition("-")[0] == key] if not stored else []
    )
    if revoked:  # one row of a build becomes several samples
        raise NoThumbnail(f"taken down on {revoked[0].date}")
    if not stored and output.inputs.pictures is not None:
        return webp(_of_build(output.inputs.pictures, unit, row), side)
    if not stored:
        reason = "start the app with --recipe" if output.stored is not None else "a build keeps none of dropped rows"
        raise NoThumbnail(f"not in the shards: {reason}")
    return webp(samples.image(stored[0], number), side)


def _of_build(pictures: Callable[[str, int], Bytes | None], unit: str, row: int) -> Bytes:
    try:
        found = pictures(unit, row)
    except OSError:
        raise NoThumbnail("not shown: the picture has been deleted since the build") from None
    if found is None:
        raise NoThumbnail(NO_PICTURE)
    return found


def split(key: str) -> tuple[str, int]:
    """Unit and row number of a row's id. Raises DataError for anything else."""
    try:
        return split_sample_id(key)
    except ValueError:
        raise DataError(f"{key[:120]}: not the id of a row") from None


def _from_source(output: Output, cursor: Any, unit: str, row: int) -> bytes | memoryview:
    """The image from the source's file, if it is the one that was scanned."""
    found = rows(cursor, f"SELECT {NEEDED} FROM rows WHERE id = ?", (f"{unit}-{row:07d}",))
    if not found:
        raise DataError(f"{unit} has no row {row}")
    _, locator, size, digest, width, height = found[0]
    if size is None or output.inputs.recipe is None:
        raise NoThumbnail(NO_PICTURE)
    refuse(size, width or 0, height or 0)
    file, storage = output.units[unit], Storage()
    source, image = reader(output.inputs.recipe.source(file.source)), ImageReference(row, locator, size)
    if not storage.is_local(file.path):
        raise NoThumbnail(REMOTE)
    try:
        for _, data in source.images(file, [image], storage):
            if xxhash.xxh3_128_digest(data) != digest:
                raise NoThumbnail(CHANGED)
            return data
    except (OSError, pa.ArrowInvalid):
        raise NoThumbnail(DELETED) from None
    raise NoThumbnail(DELETED)
