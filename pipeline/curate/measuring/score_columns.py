"""The columns that stage score writes.

They lie next to scan's columns, in a file per unit. ``score_state`` says whether a row was scored, and if not, why.
"""

import numpy as np
import pyarrow as pa

from qvl.pipeline.curate.measuring.columns import CATEGORY

SCORES = pa.schema(
    [
        ("phash", pa.uint64()),  # perceptual hash
        ("phash_tint", pa.uint64()),  # mean colours of the quarters
        ("phash_spread", pa.float32()),  # contrast of the hashed picture in grey levels: near 0 the hash is meaningless
        ("clip_english", pa.float32()),
        ("clip_chinese", pa.float32()),
        ("score_state", CATEGORY),  # scored, unreadable:<why>, or not_scored:<why>
    ]
)
# image vectors of unit length, by row and model; models differ in width
VECTORS = pa.schema([("row", pa.int32()), ("model", CATEGORY), ("vector", pa.list_(pa.float16()))])
NOT_SCORED = "not_scored:"
SCORED, STAGE_OFF, ROW_UNREADABLE = "scored", f"{NOT_SCORED}off", f"{NOT_SCORED}unreadable"


def unscored(rows: int) -> pa.Table:
    """The score columns of a run without this stage."""
    state = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int16)), pa.array([STAGE_OFF]))
    return pa.Table.from_arrays([*(pa.nulls(rows, f.type) for f in list(SCORES)[:-1]), state], schema=SCORES)
