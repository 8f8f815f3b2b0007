"""Balance of a changed recipe over the stored columns of all rows, after its duplicate rules."""

import numpy as np
import pyarrow as pa

from qvl.pipeline.balance.limits import CANDIDATE, beyond_limits, candidates, columns_read
from qvl.pipeline.curate.measuring.added_columns import known_columns
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.finished.rejudge import with_chosen_texts
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.verdict_index import VerdictIndex
from qvl.pipeline.recipe.balance import BalanceStep
from qvl.pipeline.recipe.recipe import Recipe


def rerun_balance(stored: StoredColumns, recipe: Recipe, verdicts: VerdictIndex, codes: np.ndarray) -> None:
    """Run balance over all rows whose code is 0 (keep), and set the codes of those that it drops."""
    for step in recipe.balance:
        found = _candidates(stored, recipe, step, codes)
        lost = beyond_limits(found, step)
        codes[stored.starts[lost["group"]] + lost["row"]] = verdicts.code(step.reason)


def _candidates(stored: StoredColumns, recipe: Recipe, step: BalanceStep, codes: np.ndarray) -> np.ndarray:
    """The candidates of a step with their positions, in the order of the rows."""
    position = {
        unit: (group.number, int(start))
        for group in stored.groups
        for unit, start in zip(group.units, group.starts, strict=False)
    }
    needed = {*columns_read(step, known_columns(recipe)), "row"}
    if recipe.score is not None:
        needed.add("score_state")  # which decides between several captions

    def of_unit(unit: str, source: str, table: pa.Table) -> np.ndarray:
        group, start = position[unit]
        first = int(stored.starts[group]) + start
        kept = np.flatnonzero(codes[first : first + len(table)] == 0)
        texts = with_chosen_texts(table, stored.out, unit, TextChoice.of(recipe, source))
        result = candidates(step, texts, source, unit, kept)
        result["group"], result["row"] = group, result["row"] + np.uint32(start)
        return result

    return np.concatenate([np.empty(0, CANDIDATE), *stored.over_units(needed, of_unit)])
