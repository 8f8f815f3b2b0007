"""Reading the columns of a unit: those of scan and of score, and the added ones, in one table."""

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.added_columns import (
    NOTHING_ADDED,
    AddedColumns,
    ComputedColumns,
    SpokenColumns,
    with_nulls,
)
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.columns import CATEGORY, read_columns
from qvl.pipeline.curate.measuring.score_columns import NOT_SCORED, SCORED, SCORES, unscored
from qvl.pipeline.curate.measuring.texts import CAPTION_FROM
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

STATE = "score_state"


def read_measured(
    out: AnyPath,
    unit: str,
    names: list[str],
    score: Score | None,
    added: AddedColumns = NOTHING_ADDED,
    choice: TextChoice | None = None,
) -> pa.Table:
    """These columns of a unit, in one table. A value that was not measured is null; ``score_state`` says why.

    ``clip`` is the score of the model of the row's language where the recipe measures it. With a ``choice`` the columns that
    are measured of a text are those of the text that it chooses; without ``score`` it chooses as if nothing had been scored.
    """
    if choice is not None:
        return _of_chosen_texts(out, unit, names, score, added, choice)
    if added.chosen and CAPTION_FROM in names:
        others = [name for name in names if name != CAPTION_FROM]
        table = read_measured(out, unit, others or ["row"], score, added)
        field = added.chosen.field(CAPTION_FROM)
        return table.append_column(field, pa.nulls(len(table), field.type)).select(names)
    computed = {name for each in added.in_files for name in each.schema.names}
    scanned = {name for name in names if name not in SCORES.names and name not in computed}
    clip = score is not None and score.clip is not None and "clip" in names
    table = read_columns(out, unit, sorted(scanned | ({"language"} if clip else set())) or ["row"])
    for field in added.carried:
        if field.name in scanned:
            table = with_nulls(table, field)
    for each in added.in_files:
        table = _with_columns(table, each, each.file(out, unit), names)
    states = [each for each in added.computed if each.state == STATE and STATE in names]
    wanted = {name for name in names if name in SCORES.names} | ({"clip_english", "clip_chinese"} if clip else set())
    if not wanted:
        return table.select(names)
    scores = unscored(len(table)) if score is None else read_parquet(Layout(out).scores(unit), sorted(wanted))
    for name in sorted(wanted):
        table = table.append_column(SCORES.field(name), scores[name])
    for each in states:
        table = _with_faults(table, STATE, read_parquet(Layout(out).computed(each.plugin, unit), [STATE])[STATE])
    if clip:
        by_language = pc.coalesce(table["clip_chinese"], table["clip_english"])
        table = table.set_column(table.column_names.index("clip"), "clip", by_language)
    return table.select(names)


def _of_chosen_texts(
    out: AnyPath, unit: str, names: list[str], score: Score | None, added: AddedColumns, choice: TextChoice
) -> pa.Table:
    of_texts = [name for name in names if name in choice.columns]
    others = [name for name in names if name not in choice.columns]
    asks_state = bool(of_texts) and score is not None and choice.has_scores
    wanted = [*others, *(["score_state"] if asks_state and "score_state" not in others else [])]
    table = read_measured(out, unit, wanted or ["row"], score, added)
    if not of_texts:
        return table.select(names)
    without_scores = None
    if asks_state:
        without_scores = flags(pc.not_equal(table["score_state"].cast(pa.string()), SCORED))
    chosen = choice.read(out, unit, of_texts, without_scores)
    for name in of_texts:
        table = table.append_column(chosen.schema.field(name), chosen[name])
    return table.select(names)


def _with_columns(table: pa.Table, added: ComputedColumns | SpokenColumns, path: AnyPath, names: list[str]) -> pa.Table:
    """The table with those columns of a plug-in or speaker that are among ``names``; its faults complete those of scan."""
    wanted = [name for name in added.schema.names if name in names]
    faults = ["fault"] if "fault" in names and not _of_scorer(added) else []
    if not wanted and not faults:
        return table
    found = read_parquet(path, [*wanted, *faults])
    for name in wanted:
        table = table.append_column(added.schema.field(name), found[name])
    return _with_faults(table, "fault", found["fault"]) if faults else table


def _of_scorer(added: ComputedColumns | SpokenColumns) -> bool:
    return isinstance(added, ComputedColumns) and added.state == STATE


def _with_faults(table: pa.Table, name: str, faults: pa.ChunkedArray) -> pa.Table:
    """The table whose column ``name`` has the faults of a plug-in for rows that had no fault before."""
    stated, added = table[name].cast(pa.string()), faults.cast(pa.string())
    at = table.schema.get_field_index(name)
    new = pc.and_not(_is_fault(added), _is_fault(stated))
    if not pc.any(new).as_py():
        return table
    both = pc.if_else(new, added, stated).combine_chunks()
    return table.set_column(at, table.schema.field(at), both.dictionary_encode().cast(CATEGORY))


def _is_fault(states: pa.ChunkedArray) -> pa.ChunkedArray:
    """True for ``unreadable:<why>`` and any other fault; false for null and for states that are not faults."""
    known = pc.or_(pc.equal(states, SCORED), pc.starts_with(states, NOT_SCORED))
    return pc.invert(pc.fill_null(known, True))
