"""The duplicate rules of a changed recipe over the stored columns of all rows, after its filters."""

import numpy as np

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.selection.near_steps import near_losers
from qvl.pipeline.curate.selection.semantic_steps import losers_among
from qvl.pipeline.curate.selection.task import SelectTask
from qvl.pipeline.duplicates.rules import duplicate_rules
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.verdict_index import VerdictIndex
from qvl.pipeline.recipe.recipe import Recipe


def rerun_duplicate_rules(stored: StoredColumns, recipe: Recipe, verdicts: VerdictIndex, codes: np.ndarray) -> None:
    """Run the duplicate rules over all rows whose code is 0 (keep), and set the codes of those that lose."""
    for number, rule in enumerate(duplicate_rules(recipe)):
        code = verdicts.code(rule.reason)
        if rule.semantic is not None:
            codes[semantic_losers(stored, recipe, number, codes)] = code
            continue
        candidates = stored.duplicate_candidates(recipe, number)
        kept = codes[candidates.rows] == 0
        lost = beyond_allowed(candidates.runs[kept], rule.allowed)
        codes[candidates.rows[kept][lost]] = code
        if rule.near is not None:
            losers = near_losers(candidates.keys[kept][~lost], candidates.pairs, rule.near.tint)
            codes[stored.starts[losers["group"]] + losers["row"]] = code


def beyond_allowed(runs: np.ndarray, allowed: int) -> np.ndarray:
    """True for all but the first ``allowed`` of each run of equal values.

    Example: runs [4, 4, 4, 7, 7] begin at indices [0, 0, 0, 3, 3], so the ranks within the runs are [0, 1, 2, 0, 1]; with
    ``allowed`` 1 the rows at 1, 2 and 4 are beyond it.
    """
    index = np.arange(len(runs))
    first = np.ones(len(runs), bool)
    first[1:] = runs[1:] != runs[:-1]
    begin = np.maximum.accumulate(np.where(first, index, 0))
    result: np.ndarray = index - begin >= allowed
    return result


def semantic_losers(stored: StoredColumns, recipe: Recipe, number: int, codes: np.ndarray) -> np.ndarray:
    """Numbers of the rows that lose to a row with a near vector. Raises RecipeError if the run has no such cells."""
    old, new = stored.recipe.dedup.semantic_duplicate, recipe.dedup.semantic_duplicate
    if old is None or new is None or (old.cells, old.seed) != (new.cells, new.seed):
        raise RecipeError("dedup.semantic_duplicate: this run has no such cells; only `similarity` can change here")
    losers = losers_among(SelectTask(stored.out, recipe, stored.fingerprint, 0, number), codes)
    result: np.ndarray = stored.starts[losers["group"]] + losers["row"]
    return result
