"""The columns that scan measures: one schema for all sources."""

import pyarrow as pa

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

CATEGORY = pa.dictionary(pa.int16(), pa.string())
ROW_GROUP = 65_536  # rows

COLUMNS = pa.schema(
    [
        ("row", pa.int32()),  # position in the unit
        ("key", pa.string()),
        ("url", pa.string()),
        ("caption_raw", pa.string()),
        ("caption", pa.string()),  # cleaned
        ("locator", pa.int64()),  # where the source finds the image again
        ("image_bytes", pa.int32()),
        ("width", pa.int32()),  # pixels as stored
        ("height", pa.int32()),
        ("format", CATEGORY),
        ("mode", CATEGORY),
        ("orientation", pa.int8()),  # EXIF, 1..8
        ("animated", pa.bool_()),
        ("image_hash", pa.binary(16)),  # xxh3-128 of the file
        ("text_hash", pa.binary(16)),  # xxh3-128 of the normalised caption; null if it has no letter and no digit
        ("characters", pa.int32()),
        ("words", pa.int32()),
        ("emoji", pa.int32()),
        ("markers", pa.int32()),  # training markers (<box>, end of text, ...) in the caption
        ("special_tags", pa.int32()),  # tags such as <PERSON>
        ("latin", pa.float32()),  # share of the letters
        ("han", pa.float32()),
        ("other", pa.float32()),
        ("language", CATEGORY),
        ("language_probability", pa.float32()),
        ("clip", pa.float32()),  # supplied by the source, or measured by stage score
        ("nsfw", pa.float32()),
        ("watermark", pa.float32()),
        ("aesthetic", pa.float32()),
        ("fault", CATEGORY),  # verdict of a row that cannot be used, otherwise null
    ]
)

CATEGORY_COLUMNS = [field.name for field in COLUMNS if field.type == CATEGORY]
DECIMALS = 4


def read_columns(out: AnyPath, unit: str, columns: list[str] | None = None) -> pa.Table:
    """All columns of a scanned unit, or only the named ones; one chunk each, in row order."""
    return read_parquet(Layout(out).columns(unit), columns)


def sample_id(unit: str, row: int) -> str:
    """The identifier of an input row in the ledger, in shards and in traces."""
    return f"{unit}-{row:07d}"


def split_sample_id(sample: str) -> tuple[str, int]:
    """The unit and the row of a sample id. Raises ValueError for any other text."""
    unit, _, row = sample.rpartition("-")
    if not unit:
        raise ValueError(f"{sample} is not a sample id")
    return unit, int(row)
