"""Reading the columns of a unit: those of scan and of score, and the added ones, in one table."""

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.added_columns import NOTHING_ADDED, AddedColumns, ComputedColumns, with_nulls
from qvl.pipeline.curate.measuring.columns import CATEGORY, read_columns
from qvl.pipeline.curate.measuring.score_columns import SCORES, unscored
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath


def read_measured(
    out: AnyPath, unit: str, names: list[str], score: Score | None, added: AddedColumns = NOTHING_ADDED
) -> pa.Table:
    """These columns of a unit, in one table. A value that was not measured is null; ``score_state`` says why.

    ``clip`` is the score of the model of the row's language where the recipe measures it.
    """
    computed = {name for each in added.computed for name in each.schema.names}
    scanned = {name for name in names if name not in SCORES.names and name not in computed}
    clip = score is not None and score.clip is not None and "clip" in names
    table = read_columns(out, unit, sorted(scanned | ({"language"} if clip else set())) or ["row"])
    for field in added.carried:
        if field.name in scanned:
            table = with_nulls(table, field)
    for each in added.computed:
        table = _with_computed(table, each, Layout(out).computed(each.plugin, unit), names)
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


def _with_computed(table: pa.Table, computed: ComputedColumns, path: AnyPath, names: list[str]) -> pa.Table:
    """The table with those columns of a plug-in that are among ``names``; its faults complete those of scan."""
    wanted = [name for name in computed.schema.names if name in names]
    faults = ["fault"] if "fault" in names else []
    if not wanted and not faults:
        return table
    found = read_parquet(path, [*wanted, *faults])
    for name in wanted:
        table = table.append_column(computed.schema.field(name), found[name])
    if faults and found["fault"].null_count < len(found):
        both = pc.coalesce(table["fault"].cast(pa.string()), found["fault"].cast(pa.string()))
        at = table.schema.get_field_index("fault")
        encoded = both.combine_chunks().dictionary_encode().cast(CATEGORY)
        table = table.set_column(at, table.schema.field(at), encoded)
    return table
