"""The three input formats of the corpus, written so that the same rows give the same bytes."""

import hashlib
import io
import json
import random
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from corpus_pairs import HAN
from PIL import Image, UnidentifiedImageError

ROWS_PER_SHARD = 80
WRITTEN_AT = 1_750_000_000  # one fixed time for tar headers and img2dataset statistics
ERRORS = {
    "failed_to_download": ("HTTP Error 404: Not Found", "<urlopen error timed out>", "HTTP Error 403: Forbidden"),
    "failed_to_resize": ("image decoding error",),
}


@dataclass(frozen=True)
class Row:
    """One row to write. `status` is img2dataset's; a row that failed has no image."""

    url: str
    caption: str | bytes
    image: bytes = b""
    suffix: str = ""
    status: str = "success"

    @property
    def text(self) -> str:
        """The caption as valid text."""
        return self.caption if isinstance(self.caption, str) else self.caption.decode("utf-8", errors="replace")


def write_img2dataset(rows: Sequence[Row], folder: Path, rng: random.Random) -> None:
    """Shards as img2dataset leaves them: a tar, a parquet with one row per input row, and statistics."""
    folder.mkdir(parents=True)
    for shard in range(-(-len(rows) // ROWS_PER_SHARD)):
        name = f"{shard:05d}"
        inputs = rows[shard * ROWS_PER_SHARD : (shard + 1) * ROWS_PER_SHARD]
        records = [(row, img2dataset_record(row, f"{name}{number:02d}")) for number, row in enumerate(inputs)]
        pq.write_table(pa.Table.from_pylist([record for _, record in records]), folder / f"{name}.parquet")
        (folder / f"{name}_stats.json").write_bytes(statistics([record for _, record in records]))
        arrived = [(row, record) for row, record in records if row.status == "success"]
        rng.shuffle(arrived)
        write_tar(folder / f"{name}.tar", [(record["key"], row, record) for row, record in arrived])


def write_dotted_tar(rows: Sequence[Row], path: Path) -> None:
    """A tar of another tool, with dots inside the keys: two keys differ only behind their first dot."""
    keys = [f"scan.{number // 2:02d}.v{1 + number % 2}.0" for number in range(len(rows))]
    write_tar(path, [(key, row, img2dataset_record(row, key)) for key, row in zip(keys, rows, strict=True)])


def write_tar(path: Path, samples: Sequence[tuple[str, Row, dict[str, Any]]]) -> None:
    """A WebDataset tar with fixed headers; the members of each sample stand together."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, row, record in samples:
            caption = row.caption.encode() if isinstance(row.caption, str) else row.caption
            members = ((row.suffix, row.image), (".txt", caption), (".json", json.dumps(record).encode()))
            for suffix, data in members:
                header = tarfile.TarInfo(key + suffix)
                header.size, header.mtime, header.mode = len(data), WRITTEN_AT, 0o644
                tar.addfile(header, io.BytesIO(data))


def img2dataset_record(row: Row, key: str) -> dict[str, Any]:
    """The metadata that img2dataset keeps of one row."""
    width, height, exif = image_header(row.image)
    errors = ERRORS.get(row.status)
    return {
        "url": row.url,
        "caption": row.text,
        "key": key,
        "status": row.status,
        "error_message": errors[int(key[-2:]) % len(errors)] if errors else None,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "exif": exif,
        "sha256": hashlib.sha256(row.image).hexdigest() if row.status == "success" else None,
    }


def image_header(data: bytes) -> tuple[int | None, int | None, str | None]:
    """Width, height and EXIF (as JSON text); nothing if Pillow cannot open the bytes as an image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            tags = image.getexif() if image.format == "JPEG" else {}  # for a PNG, getexif decodes the pixels
            exif = {str(tag): str(value) for tag, value in tags.items()}
            return *image.size, json.dumps(exif)
    except UnidentifiedImageError:
        return None, None, None


def statistics(records: Sequence[dict[str, Any]]) -> bytes:
    """The `_stats.json` of one shard."""
    statuses = Counter(record["status"] for record in records)
    counts = {status: statuses[status] for status in ("failed_to_download", "failed_to_resize")}
    times = {"duration": 12.5, "start_time": WRITTEN_AT - 12.5, "end_time": float(WRITTEN_AT)}
    messages = Counter(record["error_message"] or "success" for record in records)
    stats = {"count": len(records), "successes": statuses["success"], **counts, **times, "status_dict": dict(messages)}
    return orjson.dumps(stats, option=orjson.OPT_INDENT_2)


def write_parquet(rows: Sequence[Row], folder: Path, files: int = 2) -> None:
    """Parquet files with the image bytes inside."""
    folder.mkdir(parents=True)
    size = -(-len(rows) // files)
    for number in range(files):
        table = pa.Table.from_pylist(list(map(parquet_record, rows[number * size : (number + 1) * size])))
        pq.write_table(table, folder / f"emoji-{number:05d}.parquet", compression="zstd", row_group_size=64)


def parquet_record(row: Row) -> dict[str, Any]:
    """One row of the parquet source. The hint says Chinese wherever there is a Han character, right or wrong."""
    hint = "zh" if HAN.search(row.text) else "en"
    return {"image": row.image, "text": row.text, "language_hint": hint, "url": row.url}


def write_folder(rows: Sequence[Row], folder: Path) -> None:
    """An image folder with `metadata.jsonl` next to it."""
    (folder / "images").mkdir(parents=True)
    with (folder / "metadata.jsonl").open("wb") as lines:
        for row, name in zip(rows, file_names(rows), strict=True):
            (folder / "images" / name).write_bytes(row.image)
            record = {"file_name": f"images/{name}", "caption": row.text, "url": row.url}
            lines.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def file_names(rows: Sequence[Row]) -> Iterator[str]:
    """`SET-NAME.SUFFIX`, out of the url."""
    for row in rows:
        name = row.url.replace("://", "-").replace("/", "-").removeprefix("package-")
        yield name.removesuffix(row.suffix) + row.suffix
