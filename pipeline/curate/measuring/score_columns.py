"""The columns that stage score writes, and how they are read together with those of scan.

They lie next to scan's columns, in a file per unit. ``score_state`` says whether a row was scored, and if not, why.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import CATEGORY, read_columns
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

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


def read_measured(out: AnyPath, unit: str, names: list[str], score: Score | None) -> pa.Table:
    """These columns of scan and score, in one table. A value that was not measured is null; ``score_state`` says why.

    ``clip`` is the score of the model of the row's language where the recipe measures it.
    """
    scanned = {name for name in names if name not in SCORES.names}
    clip = score is not None and score.clip is not None and "clip" in names
    table = read_columns(out, unit, sorted(scanned | ({"language"} if clip else set())) or ["row"])
    wanted = {name for name in names if name in SCORES.names} | ({"clip_english", "clip_chinese"} if clip else set())
    if not wanted:
        return table.select(names)
    scores = unscored(len(table)) if score is None else read_parquet(Layout(out).scores(unit), sorted(wanted))
    for name in sorted(wanted):
        table = table.append_column(SCORES.field(name), scores[name])
    if clip:
        by_language = pc.coalesce(table["clip_chinese"], table["clip_english"])
        table = table.set_column(table.column_names.index("clip"), "clip", by_language)
    return table.select(names)


def unscored(rows: int) -> pa.Table:
    """The score columns of a run without this stage."""
    state = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int16)), pa.array([STAGE_OFF]))
    return pa.Table.from_arrays([*(pa.nulls(rows, f.type) for f in list(SCORES)[:-1]), state], schema=SCORES)
