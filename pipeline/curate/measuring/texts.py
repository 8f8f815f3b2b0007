"""The texts of rows that have several captions: one record per text, in the order of rows, next to the columns of scan."""

import numpy as np
import pyarrow as pa

from qvl.pipeline.curate.measuring.columns import CATEGORY, COLUMNS

TEXT_COLUMNS = (
    *("caption_raw", "caption", "text_hash", "characters", "words", "emoji", "markers", "special_tags"),
    *("latin", "han", "other", "language", "language_probability"),
)
"""The columns of scan that are measured of a text."""

TEXTS = pa.schema(
    [
        ("row", pa.int32()),
        ("text", CATEGORY),  # the recipe's name
        ("index", pa.int16()),  # within the list of a column; -1 for a column that holds one text
        *(COLUMNS.field(name) for name in TEXT_COLUMNS),
    ]
)
TEXT_SCORES = pa.schema([("clip_english", pa.float32()), ("clip_chinese", pa.float32())])
"""The scores of texts, in the order of the texts."""

CAPTION_FROM = "caption_from"
"""The column of the ledger, and the key of a sample's ``meta``, that names the chosen text."""


def row_starts(rows: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The number of the first text of each row, from the column ``row`` of texts, where every row has at least one."""
    numbers = np.asarray(rows.to_numpy(), np.int64)
    if not len(numbers):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))
