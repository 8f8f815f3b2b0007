"""Thresholds from rates: the value at which a source keeps the share that is asked for, duplicates and all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.filters import Filters
from qvl.pipeline.finished.changes import apply_changes
from qvl.pipeline.finished.stored import Stored
from qvl.pipeline.finished.whatif import UNSCORED, whatif
from qvl.pipeline.recipe.recipe import Recipe, SourceSpec, load_recipe

SWEEPS = 3
STEP = 1e-4
DEFAULT = "clip.minimum"
KINDS = {"minimum": 1, "maximum": -1}


@dataclass(frozen=True)
class Target:
    """A source and the share of its rows that is to remain."""

    source: str
    keep: float


@dataclass(frozen=True)
class Solved:
    """``value`` of the threshold, and the share that it keeps exactly; ``unscored`` rows could change that share."""

    source: str
    threshold: str
    wanted: float
    value: float
    kept: float
    without: float
    unscored: int


def table2_targets(recipe: Recipe) -> list[Target]:
    """The rates of the paper's Table 2 for every source that names its row."""
    found = [Target(s.name, s.table2.cleaned / s.table2.original) for s in recipe.sources if s.table2]
    if not found:
        raise RecipeError("no source of the recipe has a `table2:`; pipeline/recipes/qwen_vl_stage1.yaml shows all ten")
    return found


def solve(stored: Stored, targets: list[Target], threshold: str = DEFAULT) -> list[Solved]:
    """A value per target. Sources meet in the duplicate rules, so all are solved in turn until none moves."""
    kind = _check(stored, targets, threshold)
    grids = {target.source: _values(stored, target.source, threshold.split(".", maxsplit=1)[0]) for target in targets}
    chosen = {target.source: float(grids[target.source][0 if kind > 0 else -1]) for target in targets}
    for _ in range(SWEEPS if len(targets) > 1 else 1):
        before = dict(chosen)
        for target in targets:
            chosen[target.source] = _search(stored, target, threshold, chosen, grids[target.source])
        if chosen == before:
            break
    answer = whatif(stored, _with(stored.recipe, threshold, chosen))
    free = whatif(stored, _without(stored.recipe, threshold, list(chosen)))
    code = answer.words.code(UNSCORED)
    result = []
    for target in targets:
        kept, rows = answer.kept_of(target.source)
        mine = answer.sources == answer.source_names.index(target.source)
        unscored = int((answer.after[mine] == code).sum())
        most = free.kept_of(target.source)[0] / max(1, rows)
        value = round(chosen[target.source], 4)
        result.append(Solved(target.source, threshold, target.keep, value, kept / max(1, rows), most, unscored))
    return result


def _check(stored: Stored, targets: list[Target], threshold: str) -> int:
    """+1 where a larger value keeps less, else -1."""
    word, _, key = threshold.partition(".")
    if word not in Filters.model_fields or key not in KINDS:
        raise RecipeError(
            f"{threshold}: a threshold is FILTER.minimum or FILTER.maximum; `qvl curate whatif` tries others"
        )
    known = {source for _, source in stored.units}
    for target in targets:
        if target.source not in known:
            raise RecipeError(f"no source {target.source} in {stored.out}; there are {', '.join(sorted(known))}")
        if not 0 <= target.keep <= 1:
            raise RecipeError(f"--keep {target.keep}: a share between 0 and 1")
    return KINDS[key]


def _values(stored: Stored, source: str, word: str) -> np.ndarray:
    """The different stored values that the filter judges, rounded to the step in which thresholds are sought."""
    (column,) = _column(word)
    seen: list[Any] = []
    for (_, name), table in zip(stored.units, stored.ledgers([column]), strict=True):
        if name == source:
            values = table[column].drop_null()
            seen.append(np.unique(np.round(np.asarray(values.to_numpy(), np.float64), 4)))
    values = np.unique(np.concatenate(seen or [np.empty(0)]))
    if not len(values):
        raise RecipeError(f"no row of {source} has a value of {column}; score it first, or choose another --threshold")
    return values


def _column(word: str) -> tuple[str, ...]:
    kinds = [kind for kind in get_args(Filters.model_fields[word].annotation) if kind is not type(None)]
    reads: tuple[str, ...] = kinds[0].reads
    if len(reads) != 1:
        raise RecipeError(f"{word} judges {', '.join(reads)} together; a threshold can be solved for one column")
    return reads


def _search(stored: Stored, target: Target, threshold: str, chosen: dict[str, float], grid: np.ndarray) -> float:
    """The value of the grid whose kept share is nearest to the target, by bisection: a harsher value keeps less."""
    kind = KINDS[threshold.partition(".")[2]]
    values = grid if kind > 0 else grid[::-1]

    def kept(place: int) -> float:
        answer = whatif(stored, _with(stored.recipe, threshold, {**chosen, target.source: float(values[place])}))
        number, rows = answer.kept_of(target.source)
        return number / max(1, rows)

    low, high = 0, len(values) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if kept(middle) >= target.keep else (low, middle)
    best = min((low, high), key=lambda place: abs(kept(place) - target.keep))
    return float(values[best])


def _with(recipe: Recipe, threshold: str, chosen: dict[str, float]) -> Recipe:
    return apply_changes(recipe, [f"{source}.{threshold}={value:.4f}" for source, value in chosen.items()])


def _without(recipe: Recipe, threshold: str, sources: list[str]) -> Recipe:
    """Without this bound; without the filter where it has no other."""
    try:
        return apply_changes(recipe, [f"{source}.{threshold}=null" for source in sources])
    except RecipeError:
        return apply_changes(recipe, [f"{source}.{threshold.partition('.')[0]}=null" for source in sources])


def write_solved(recipe: Path, target: Path, solved: list[Solved]) -> None:
    """The recipe with the solved thresholds as a new file (comments are lost; paths become absolute in another folder).

    Raises RecipeError where the recipe knows none of the sources.
    """
    loaded = load_recipe(recipe)
    content: dict[str, Any] = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    absolute = recipe.resolve().parent != target.resolve().parent
    values = {one.source: one for one in solved}
    if not values.keys() & {source.name for source in loaded.sources}:
        raise RecipeError(f"{recipe}: has none of the sources {', '.join(values)}")
    for source, spec in zip(content["sources"], loaded.sources, strict=True):
        if absolute:
            _absolute(source, spec)
        if source["name"] in values:
            word, _, key = values[source["name"]].threshold.partition(".")
            filters = dict(source.get("filters") or {})
            filters[word] = {**(filters.get(word) or {}), key: values[source["name"]].value}
            source["filters"] = filters
    notes = [f"#   {s.source}: {s.threshold} {s.value:g} keeps {s.kept:.2%}, asked for {s.wanted:.2%}" for s in solved]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join([f"# {recipe.name} with solved thresholds", *notes, text]), encoding="utf-8")


def _absolute(source: dict[str, Any], spec: SourceSpec) -> None:
    read = spec.read.model_dump(mode="json")
    for name in ("paths", "image_folder"):
        if read.get(name) is not None:
            source["read"][name] = read[name]
