"""Which rows are beyond the limit of their group: exact counts, whatever the order in which rows arrive.

A candidate is a row that is still kept, with the key of its group and its rank in it. All candidates of a group meet in one
partition, where they are sorted; the first rows up to the limit stay. ``sample`` is the Gumbel-top-k trick (Kool et al.,
2019, arXiv 1903.06059): the k highest of ``log weight + Gumbel noise`` are a weighted sample without replacement.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qvl.pipeline.balance.values import COMPUTED_VALUES, SOURCE, draws, group_keys, scores, uniform
from qvl.pipeline.recipe.balance import BalanceStep, Cap, Sample

CANDIDATE = np.dtype([("key", "<u8"), ("score", "<f8"), ("draw", "<u8"), ("group", "<u4"), ("row", "<u4")])
"""``score`` is higher for rows that stay first, NaN for rows that are lost in any case; equal scores are drawn."""
LOST = np.dtype([("group", "<u4"), ("row", "<u4")])
PARTS_OF_ONE = 1_000_000  # a share is rounded to this

Rows = npt.NDArray[np.int64]


def columns_read(step: BalanceStep, known: frozenset[str]) -> list[str]:
    """The columns that a step reads, among those that are ``known``."""
    rule = step.rule
    names = {name if name in known else COMPUTED_VALUES.get(name, name) for name in rule.per if name != SOURCE}
    return sorted(names | ({rule.by} if rule.by is not None else set()))


def candidates(step: BalanceStep, table: pa.Table, source: str, unit: str, kept: Rows) -> np.ndarray:
    """The records (CANDIDATE, without positions) of a unit's rows ``kept`` that take part; ``row`` is the row in the unit.

    ``table`` has the columns of all rows of the unit. Raises RecipeError for a column of an unsuitable type.
    """
    rule = step.rule
    chosen = table.take(pa.array(kept)).append_column(SOURCE, pa.array([source] * len(kept), pa.string()))
    keys, missing = group_keys(chosen, rule.per)
    result = np.empty(len(kept), CANDIDATE)
    result["key"], result["row"] = keys, kept
    result["draw"] = draws(step.seed, step.name, unit, kept)
    result["score"] = 0.0 if rule.by is None else scores(chosen, rule.by)
    if isinstance(rule, Sample) and rule.by is not None:
        result["score"] = result["score"] / rule.temperature - np.log(-np.log(uniform(result["draw"])))
    if not isinstance(rule, Cap):
        return result
    result["score"][missing] = np.nan
    return result if rule.missing == "drop" else result[~missing]


def limits(step: BalanceStep, sizes: Rows) -> Rows:
    """How many rows stay of groups of these sizes. A share is rounded up, so that every group keeps a row."""
    rule = step.rule
    if isinstance(rule, Cap):
        return np.minimum(sizes, rule.count)
    if isinstance(rule, Sample) and rule.count is not None:
        return np.minimum(sizes, rule.count)
    parts = round((rule.share or 1) * PARTS_OF_ONE)
    return -(-sizes * parts // PARTS_OF_ONE)


def beyond_limits(found: np.ndarray, step: BalanceStep) -> np.ndarray:
    """Those of the candidates (CANDIDATE, all of each group) that are lost: LOST, sorted by (group, row).

    Candidates come in the order of (group, row), which decides between equal draws.
    """
    order = np.lexsort([found["draw"], -found["score"], found["key"]])
    keys = found["key"][order]
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(keys)))
    place = np.arange(len(keys)) - np.repeat(starts, sizes)
    out = (place >= np.repeat(limits(step, sizes), sizes)) | np.isnan(found["score"][order])
    lost = np.zeros(len(found), bool)
    lost[order[out]] = True
    result = np.empty(int(lost.sum()), LOST)
    result["group"], result["row"] = found["group"][lost], found["row"][lost]
    return result[np.lexsort([result["row"], result["group"]])]
