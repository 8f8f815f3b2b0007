"""Finds thresholds from rates: the value at which a source keeps a wanted share of its rows, duplicate rules included."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pyarrow as pa

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.curate.measuring.added_columns import known_columns
from qvl.pipeline.filters import FILTER_NAMES, Filters
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.consistent import consistent
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.verdict_index import UNSCORED
from qvl.pipeline.finished.whatif import Answer, whatif
from qvl.pipeline.recipe.recipe import Recipe

SWEEPS = 3
DECIMALS = 4  # of thresholds
DEFAULT_THRESHOLD = "clip.minimum"
DIRECTIONS = {"minimum": 1, "maximum": -1}  # 1: a larger value keeps less


@dataclass(frozen=True, slots=True)
class Target:
    """A source and the share of its rows that is to remain."""

    source: str
    keep: float


@dataclass(frozen=True, slots=True)
class Solved:
    """The ``value`` of a threshold and the share of rows that it keeps exactly (``kept``).

    ``wanted`` is the share asked for, ``without`` the share that all other rules leave. ``unscored`` rows have no score and
    could change these shares.
    """

    source: str
    threshold: str
    wanted: float
    value: float
    kept: float
    without: float
    unscored: int


def table2_targets(recipe: Recipe) -> list[Target]:
    """The rates of the paper's Table 2 for every source that names its row. Raises RecipeError if none does."""
    found = [Target(s.name, s.table2.cleaned / s.table2.original) for s in recipe.sources if s.table2]
    if not found:
        raise RecipeError("no source of the recipe has a `table2:`; pipeline/recipes/qwen_vl_stage1.yaml shows all ten")
    return found


def solve(stored: StoredColumns, targets: list[Target], threshold: str = DEFAULT_THRESHOLD) -> list[Solved]:
    """A value for each target.

    Sources meet in the duplicate rules, so all of them are solved in turn until no value changes (at most SWEEPS times).
    Raises RecipeError for an unknown threshold or source, and for a share that is not between 0 and 1.
    """
    with consistent(stored.out):
        return _solved(stored, targets, threshold)


def _solved(stored: StoredColumns, targets: list[Target], threshold: str) -> list[Solved]:
    _check(stored, targets, threshold)
    filter_name = threshold.partition(".")[0]
    grids = {target.source: stored_values(stored, target.source, filter_name) for target in targets}
    most_lenient = 0 if _direction(threshold) > 0 else -1
    chosen = {target.source: float(grids[target.source][most_lenient]) for target in targets}
    for _ in range(SWEEPS if len(targets) > 1 else 1):
        before = dict(chosen)
        for target in targets:
            chosen[target.source] = _search(stored, target, threshold, chosen, grids[target.source])
        if chosen == before:
            break
    answer = whatif(stored, _with_values(stored.recipe, threshold, chosen))
    unbounded = whatif(stored, _without_bound(stored.recipe, threshold, list(chosen)))
    return [
        Solved(
            source=target.source,
            threshold=threshold,
            wanted=target.keep,
            value=round(chosen[target.source], DECIMALS),
            kept=_share(answer, target.source),
            without=_share(unbounded, target.source),
            unscored=_unscored(answer, target.source),
        )
        for target in targets
    ]


def _share(answer: Answer, source: str) -> float:
    kept, rows = answer.kept_of(source)
    return kept / max(1, rows)


def _unscored(answer: Answer, source: str) -> int:
    of_source = answer.sources == answer.source_names.index(source)
    return int((answer.after[of_source] == answer.verdicts.code(UNSCORED)).sum())


def _direction(threshold: str) -> int:
    """1 if a larger value keeps less, otherwise -1."""
    return DIRECTIONS[threshold.partition(".")[2]]


def _check(stored: StoredColumns, targets: list[Target], threshold: str) -> None:
    filter_name, _, bound = threshold.partition(".")
    if filter_name not in {*FILTER_NAMES, *known_columns(stored.recipe)} or bound not in DIRECTIONS:
        raise RecipeError(
            f"{threshold}: a threshold is FILTER.minimum or FILTER.maximum; `qvl curate whatif` tries others"
        )
    known = {source for _, source in stored.units}
    for target in targets:
        if target.source not in known:
            raise RecipeError(f"no source {target.source} in {stored.out}; there are {', '.join(sorted(known))}")
        if not 0 <= target.keep <= 1:
            raise RecipeError(f"--keep {target.keep}: give a share between 0 and 1")


def stored_values(stored: StoredColumns, source: str, filter_name: str) -> np.ndarray:
    """The different stored values (ascending) that a filter judges, rounded as thresholds are.

    Raises RecipeError if there are none, or if the filter judges several columns.
    """
    column = _judged_column(filter_name)
    found: list[np.ndarray] = [np.empty(0)]
    for (_, name), table in zip(stored.units, stored.ledgers([column]), strict=True):
        if name == source:
            _require_numbers(column, table.schema.field(column).type)
            values = table[column].drop_null()
            found.append(np.unique(np.round(np.asarray(values.to_numpy(), np.float64), DECIMALS)))
    every = np.unique(np.concatenate(found))
    result = every[np.isfinite(every)]
    if not len(result):
        raise RecipeError(f"no row of {source} has a value of {column}; score it first, or choose another --threshold")
    return result


def _require_numbers(column: str, kind: pa.DataType) -> None:
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise RecipeError(f"{column} has type {kind}; only a bound of numbers can be solved for")


def _judged_column(filter_name: str) -> str:
    if filter_name not in FILTER_NAMES:
        return filter_name
    kinds = [kind for kind in get_args(Filters.model_fields[filter_name].annotation) if kind is not type(None)]
    reads: tuple[str, ...] = kinds[0].reads
    if len(reads) != 1:
        raise RecipeError(f"{filter_name} judges {', '.join(reads)} together; a threshold can be solved for one column")
    return reads[0]


def _search(stored: StoredColumns, target: Target, threshold: str, chosen: dict[str, float], grid: np.ndarray) -> float:
    """The value of the grid whose kept share is nearest to the target, by bisection: a stricter value keeps less."""
    values = grid if _direction(threshold) > 0 else grid[::-1]  # the most lenient first

    def kept(position: int) -> float:
        trial = {**chosen, target.source: float(values[position])}
        return _share(whatif(stored, _with_values(stored.recipe, threshold, trial)), target.source)

    low, high = 0, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kept(middle) >= target.keep else (low, middle)
    best = min((low, high), key=lambda position: abs(kept(position) - target.keep))
    return float(values[best])


def _with_values(recipe: Recipe, threshold: str, chosen: dict[str, float]) -> Recipe:
    changes = [f"{source}.{threshold}={value:.{DECIMALS}f}" for source, value in chosen.items()]
    return apply_changes(recipe, changes)


def _without_bound(recipe: Recipe, threshold: str, sources: list[str]) -> Recipe:
    """The recipe without this bound, or without the whole filter if it has no other bound."""
    try:
        return apply_changes(recipe, [f"{source}.{threshold}=null" for source in sources])
    except RecipeError:
        return apply_changes(recipe, [f"{source}.{threshold.partition('.')[0]}=null" for source in sources])
