"""From counts to the report's records: the content of ``report.json`` and of the page."""

from collections import Counter

import numpy as np

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.duplicates.rules import DuplicateRule, duplicate_rules
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.clusters import Cluster, size_histogram
from qvl.pipeline.report.figures import LENGTHS, RESOLUTIONS, BoundSide, Figures, Tally
from qvl.pipeline.report.nearest import Pick
from qvl.pipeline.report.records import (
    ClusterSizes,
    CountBySource,
    DuplicateReport,
    FilterReport,
    Funnel,
    FunnelStep,
    GallerySide,
    LargeCluster,
    Mix,
    NumberChart,
    PaperRow,
    Picked,
    SetChart,
    SetValue,
    SourceRow,
    Table2Comparison,
    TotalRow,
)  # fmt: skip
from qvl.pipeline.report.thresholds import NumberThreshold, SetThreshold, chosen_filters, purpose

FAULTS = ("download", "unreadable")
PAPER_ORIGINAL, PAPER_CLEANED = 5_000_000_000, 1_400_000_000
LANGUAGES_SHOWN = 12
VALUES_SHOWN = 24
OTHER = "other"
MARGIN_BINS = 2
SIDES: tuple[BoundSide, ...] = (
    ("minimum", "outside"), ("minimum", "inside"), ("maximum", "outside"), ("maximum", "inside"), ("set", "outside"),
)  # fmt: skip


def share(part: int, whole: int) -> float | None:
    """A share for JSON; None where ``whole`` is 0."""
    return round(part / whole, 6) if whole else None


def funnel(figures: Figures, recipe: Recipe) -> Funnel:
    """Steps in the order in which rows are dropped."""
    sources = [source.name for source in recipe.sources if source.name in figures.verdicts]
    grouped = {name: _grouped(figures.verdicts[name]) for name in sources}
    rows = {name: sum(figures.verdicts[name].values()) for name in sources}
    left, steps = rows, []
    for reason in _reasons(recipe, {reason for counts in grouped.values() for reason in counts} - {KEEP}):
        dropped = {name: grouped[name][reason] for name in sources}
        left = {name: left[name] - dropped[name] for name in sources}
        steps.append(FunnelStep(reason, dropped, left))
    return Funnel(sources, rows, steps, {name: figures.verdicts[name][KEEP] for name in sources})


def _reasons(recipe: Recipe, seen: set[str]) -> list[str]:
    """Reasons that dropped rows or could have, in the order in which they judge; unknown ones last."""
    rules = [rule.reason for rule in rules_of(recipe)]
    balance = [step.reason for step in recipe.balance]
    order = [*FAULTS, *recipe.filter_names, *rules, *balance]
    shown = seen | {*chosen_filters(recipe), *rules, *balance}
    return [*(reason for reason in order if reason in shown), *sorted(seen - set(order))]


def rules_of(recipe: Recipe) -> list[DuplicateRule]:
    """Duplicate rules, one per reason: a reader sees two models of one rule as one."""
    return list({rule.reason: rule for rule in duplicate_rules(recipe)}.values())


def _grouped(verdicts: Counter[str]) -> Counter[str]:
    """Verdicts with all download faults under one reason, and all unreadable rows under another."""
    result: Counter[str] = Counter()
    for reason, number in verdicts.items():
        result[reason.split(":")[0] if reason.split(":")[0] in FAULTS else reason] += number
    return result


def against_paper(figures: Figures, recipe: Recipe) -> Table2Comparison:
    """Rows in, rows kept and their share, by source, next to the row of Table 2 that the recipe names."""
    rows = []
    for source in recipe.sources:
        counts, paper = figures.verdicts.get(source.name, Counter()), source.table2
        total, kept = counts.total(), counts[KEEP]
        named = _paper_row(paper.dataset, paper.original, paper.cleaned) if paper else None
        rows.append(SourceRow(source.name, total, kept, share(kept, total), named))
    of_paper = _paper_row("total", PAPER_ORIGINAL, PAPER_CLEANED)
    return Table2Comparison(rows, TotalRow(figures.rows, figures.kept, share(figures.kept, figures.rows), of_paper))


def _paper_row(dataset: str, original: int, cleaned: int) -> PaperRow:
    return PaperRow(dataset, original, cleaned, share(cleaned, original))


def mix(figures: Figures, recipe: Recipe) -> Mix:
    """Cells of source x language x resolution x caption length, each with rows before and after."""
    languages = _languages(figures)
    names = languages[:LANGUAGES_SHOWN] + ([OTHER] if len(languages) > LANGUAGES_SHOWN else [])
    sources = [source.name for source in recipe.sources if source.name in figures.verdicts]
    cells = np.zeros((len(sources), len(names), len(RESOLUTIONS), len(LENGTHS), 2), np.int64)
    for (source, language), counts in figures.mix.items():
        shown = language if language in languages[:LANGUAGES_SHOWN] else OTHER
        cells[sources.index(source), names.index(shown)] += counts
    before, after = cells.sum(axis=-1), cells[..., 1]
    listed = [[*map(int, at), int(before[tuple(at)]), int(after[tuple(at)])] for at in np.argwhere(before)]
    dimensions = {
        "source": sources, "language": names, "resolution": list(RESOLUTIONS), "caption length": list(LENGTHS),
    }  # fmt: skip
    return Mix(dimensions, listed)


def _languages(figures: Figures) -> list[str]:
    """All languages: first those with kept rows, then by number of rows."""
    sizes: Counter[str] = Counter()
    for (_, language), counts in figures.mix.items():
        sizes[language] += int(counts.sum()) + 10**12 * int(counts[..., 1].any())
    return [language for language, _ in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))]


def filters(figures: Figures, recipe: Recipe) -> list[FilterReport]:
    """Every active filter: its purpose, settings, losses and histograms, and the rows around its thresholds."""
    return [_filter(figures, reason, chosen) for reason, chosen in chosen_filters(recipe).items()]


def _filter(figures: Figures, reason: str, chosen: dict[str, Filter]) -> FilterReport:
    own = [tally for tally in figures.tallies if tally.threshold.reason == reason]
    return FilterReport(
        word=reason,
        about=purpose(next(iter(chosen.values()))),
        rules={source: each.model_dump(mode="json", exclude_none=True) for source, each in chosen.items()},
        readable=dict(own[0].rows) if own else {},
        failed=dict(own[0].failed) if own else {},
        dropped={source: counts[reason] for source, counts in figures.verdicts.items()},
        charts=[_chart(tally) for tally in own],
        gallery=[part for tally in own for part in _sides(tally)],
    )


def _chart(tally: Tally) -> NumberChart | SetChart:
    if isinstance(tally.threshold, NumberThreshold):
        return number_chart(tally, tally.threshold)
    return set_chart(tally, tally.threshold)


def number_chart(tally: Tally, threshold: NumberThreshold) -> NumberChart:
    """A histogram, cut to the bins that hold rows or thresholds."""
    edges = threshold.edges
    every = np.sum(list(tally.every.values()), axis=0) if tally.every else np.zeros(len(edges) + 1, np.int64)
    cuts = [limit for source in threshold.bounds for limit in threshold.limits(source) if limit is not None]
    used = [*np.flatnonzero(every).tolist(), *np.searchsorted(edges, cuts).tolist()]
    low = max(0, min(used, default=0) - MARGIN_BINS)
    high = min(len(edges), max(used, default=0) + MARGIN_BINS + 1)
    return NumberChart(
        label=threshold.label,
        integer=threshold.integer,
        closed=threshold.closed,
        edges=edges[low:high].tolist(),
        bounds={source: list(threshold.limits(source)) for source in threshold.bounds},
        every={source: _folded(counts, low, high) for source, counts in tally.every.items()},
        alone={source: _folded(counts, low, high) for source, counts in tally.alone.items()},
        unmeasured=dict(tally.unmeasured),
    )


def _folded(counts: np.ndarray, low: int, high: int) -> list[int]:
    """Counts of the bins around edges[low:high]; what is outside is added to the two open bins."""
    inner: list[int] = counts[low : high + 1].tolist()
    inner[0] += int(counts[:low].sum())
    inner[-1] += int(counts[high + 1 :].sum())
    return inner


def set_chart(tally: Tally, threshold: SetThreshold) -> SetChart:
    """Values with their rows by source: those that some source allows first, then the most frequent."""
    totals: Counter[str] = Counter()
    for (_, value), number in tally.values.items():
        totals[value] += number
    passing = threshold.passing(list(totals))
    order = sorted(totals, key=lambda value: (value not in passing, -totals[value], value))
    shown, hidden = order[:VALUES_SHOWN], order[VALUES_SHOWN:]
    values = [SetValue(value or "not measured", value in passing, _rows(tally, value)) for value in shown]
    if hidden:
        rest = {source: _hidden_rows(tally, source, shown) for source in threshold.allowed}
        values.append(SetValue(f"{len(hidden)} others", False, rest))
    return SetChart(threshold.column, values, {source: list(each) for source, each in threshold.allowed.items()})


def _rows(tally: Tally, value: str) -> CountBySource:
    return {source: number for (source, each), number in sorted(tally.values.items()) if each == value}


def _hidden_rows(tally: Tally, source: str, shown: list[str]) -> int:
    return sum(number for (each, value), number in tally.values.items() if each == source and value not in shown)


def _sides(tally: Tally) -> list[GallerySide]:
    """Galleries of one threshold: for each bound the rows just outside and just inside."""
    return [
        GallerySide(*side, [_picked(pick) for pick in tally.near[side].picks]) for side in SIDES if side in tally.near
    ]


def _picked(pick: Pick) -> Picked:
    return Picked(sample_id(pick.unit, pick.row), None if np.isnan(pick.value) else round(pick.value, 4))


def duplicates(figures: Figures, recipe: Recipe, largest: dict[str, list[Cluster]]) -> list[DuplicateReport]:
    """Every duplicate rule: clusters by size, and the largest ones."""
    return [
        _duplicates(rule, figures.clusters.losers(rule.reason), largest.get(rule.reason, []))
        for rule in rules_of(recipe)
    ]


def _duplicates(rule: DuplicateRule, losers: np.ndarray, largest: list[Cluster]) -> DuplicateReport:
    return DuplicateReport(
        word=rule.reason,
        equal=rule.key,
        allowed=rule.allowed,
        clusters=len(losers),
        dropped=int(losers.sum()),
        sizes=[ClusterSizes({"from": a, "to": b, "clusters": n}) for a, b, n in size_histogram(losers, rule.allowed)],
        largest=[LargeCluster(c.keeper, c.losers + rule.allowed, c.members) for c in largest],
    )


def faults(figures: Figures) -> dict[str, CountBySource]:
    """Rows that could not be used, by reason and source; the most frequent reason first."""
    result: dict[str, CountBySource] = {}
    for source, counts in figures.verdicts.items():
        for reason, number in counts.items():
            if reason.split(":")[0] in FAULTS:
                result.setdefault(reason, {})[source] = number
    return dict(sorted(result.items(), key=lambda pair: (-sum(pair[1].values()), pair[0])))
