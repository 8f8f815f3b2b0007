"""The columns that scan measures: one schema for all sources."""

import pyarrow as pa

WORDS = pa.dictionary(pa.int16(), pa.string())

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
        ("format", WORDS),
        ("mode", WORDS),
        ("orientation", pa.int8()),  # EXIF, 1..8
        ("animated", pa.bool_()),
        ("image_hash", pa.binary(16)),  # xxh3-128 of the file
        ("text_hash", pa.binary(16)),  # xxh3-128 of the normalised caption, null where it has no letter or digit
        ("characters", pa.int32()),
        ("words", pa.int32()),
        ("emoji", pa.int32()),
        ("markers", pa.int32()),  # training markers (<box>, end of text, ...) in the caption
        ("special_tags", pa.int32()),  # tags such as <PERSON>
        ("latin", pa.float32()),  # shares of the letters
        ("han", pa.float32()),
        ("other", pa.float32()),
        ("language", WORDS),
        ("language_probability", pa.float32()),
        ("clip", pa.float32()),  # brought along by the source, or measured by score
        ("nsfw", pa.float32()),
        ("watermark", pa.float32()),
        ("aesthetic", pa.float32()),
        ("fault", WORDS),  # verdict of a row that cannot be used, else null
    ]
)

WORD_COLUMNS = [field.name for field in COLUMNS if field.type == WORDS]
DECIMALS = 4


def sample_id(unit: str, row: int) -> str:
    """The name of an input row everywhere: ledger, shards, trace."""
    return f"{unit}-{row:07d}"


def split_sample_id(sample: str) -> tuple[str, int]:
    """Unit and row. Raises ValueError for anything that is no sample id."""
    unit, _, row = sample.rpartition("-")
    if not unit:
        raise ValueError(f"{sample} is no sample id")
    return unit, int(row)
