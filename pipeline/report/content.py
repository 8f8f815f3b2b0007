"""The report as data: what ``report.json`` holds and what the page is drawn from."""

from collections import Counter
from typing import Any

import numpy as np

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.measuring.columns import sample_id
from qvl.pipeline.duplicates.rules import DuplicateRule, duplicate_rules
from qvl.pipeline.filters import FILTER_WORDS
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.clusters import Cluster, size_histogram
from qvl.pipeline.report.figures import LENGTHS, RESOLUTIONS, Figures, Tally
from qvl.pipeline.report.nearest import Pick
from qvl.pipeline.report.thresholds import NumberGauge, about, chosen_filters

FAULTS = ("download", "unreadable")
PAPER_TOTAL = {"dataset": "total", "original": 5_000_000_000, "cleaned": 1_400_000_000}
LANGUAGES_SHOWN = 12
WORDS_SHOWN = 24
OTHER = "other"
MARGIN_BINS = 2


def share(part: int, whole: int) -> float | None:
    """A share for JSON; null where there is nothing to share."""
    return round(part / whole, 6) if whole else None


def funnel(figures: Figures, recipe: Recipe) -> dict[str, Any]:
    """Steps in the order in which rows are lost, each with what it dropped and what it left, by source."""
    sources = [source.name for source in recipe.sources if source.name in figures.verdicts]
    grouped = {name: _grouped(figures.verdicts[name]) for name in sources}
    rules = [rule.reason for rule in rules_of(recipe)]
    order = [*FAULTS, *FILTER_WORDS, *rules]
    seen = {reason for counts in grouped.values() for reason in counts} - {KEEP}
    active = {*chosen_filters(recipe), *rules}
    left = {name: sum(figures.verdicts[name].values()) for name in sources}
    result: dict[str, Any] = {"sources": sources, "rows": dict(left), "steps": []}
    for reason in [*(word for word in order if word in seen | active), *sorted(seen - set(order))]:
        dropped = {name: grouped[name][reason] for name in sources}
        left = {name: left[name] - dropped[name] for name in sources}
        result["steps"].append({"reason": reason, "dropped": dropped, "left": left})
    return {**result, "kept": {name: figures.verdicts[name][KEEP] for name in sources}}


def rules_of(recipe: Recipe) -> list[DuplicateRule]:
    """Duplicate rules, one per word: two models of one rule are one to a reader."""
    return list({rule.reason: rule for rule in duplicate_rules(recipe)}.values())


def _grouped(verdicts: Counter[str]) -> Counter[str]:
    """Verdicts with all download faults as one, and all unreadable rows as one."""
    result: Counter[str] = Counter()
    for reason, number in verdicts.items():
        result[reason.split(":")[0] if reason.split(":")[0] in FAULTS else reason] += number
    return result


def against_paper(figures: Figures, recipe: Recipe) -> dict[str, Any]:
    """Rows in, rows kept and their share, by source, beside the row of Table 2 that the recipe names."""
    rows = []
    for source in recipe.sources:
        counts = figures.verdicts.get(source.name, Counter())
        paper = source.table2.model_dump() if source.table2 else None
        if paper:
            paper["remaining"] = share(paper["cleaned"], paper["original"])
        rows.append({"source": source.name, **_rate(counts.total(), counts[KEEP]), "paper": paper})
    total = {**PAPER_TOTAL, "remaining": share(PAPER_TOTAL["cleaned"], PAPER_TOTAL["original"])}  # type: ignore[arg-type]
    return {"rows": rows, "total": {**_rate(figures.rows, figures.kept), "paper": total}}


def _rate(original: int, cleaned: int) -> dict[str, Any]:
    return {"original": original, "cleaned": cleaned, "remaining": share(cleaned, original)}


def mix(figures: Figures, recipe: Recipe) -> dict[str, Any]:
    """Cells of source x language x resolution x caption length, each with rows before and after."""
    sizes: Counter[str] = Counter()
    for (_, language), counts in figures.mix.items():
        sizes[language] += int(counts.sum()) + 10**12 * int(counts[..., 1].any())
    languages = [word for word, _ in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:LANGUAGES_SHOWN]]
    names = [*languages, OTHER] if len(sizes) > LANGUAGES_SHOWN else languages
    sources = [source.name for source in recipe.sources if source.name in figures.verdicts]
    cells = np.zeros((len(sources), len(names), len(RESOLUTIONS), len(LENGTHS), 2), np.int64)
    for (source, language), counts in figures.mix.items():
        cells[sources.index(source), names.index(language if language in languages else OTHER)] += counts
    before, after = cells.sum(axis=-1), cells[..., 1]
    listed = [[*map(int, at), int(before[tuple(at)]), int(after[tuple(at)])] for at in np.argwhere(before)]
    dimensions = {"source": sources, "language": names, "resolution": RESOLUTIONS, "caption length": LENGTHS}
    return {"dimensions": dimensions, "cells": listed}


def filters(figures: Figures, recipe: Recipe) -> list[dict[str, Any]]:
    """Every active filter: what it is for, its rules, its losses, its histograms, the rows around its thresholds."""
    result = []
    for word, chosen in chosen_filters(recipe).items():
        own = [tally for tally in figures.tallies if tally.gauge.word == word]
        first = own[0] if own else None
        result.append(
            {
                "word": word,
                "about": about(next(iter(chosen.values()))),
                "rules": {source: each.model_dump(mode="json", exclude_none=True) for source, each in chosen.items()},
                "readable": dict(first.rows) if first else {},
                "failed": dict(first.failed) if first else {},
                "dropped": {source: counts[word] for source, counts in figures.verdicts.items()},
                "charts": [numbers(t, t.gauge) if isinstance(t.gauge, NumberGauge) else words(t) for t in own],
                "gallery": [part for tally in own for part in _sides(tally)],
            }
        )
    return result


def numbers(tally: Tally, gauge: NumberGauge) -> dict[str, Any]:
    """A histogram, cut to the bins that hold rows or thresholds. Bins are open at both ends of ``edges``."""
    every = np.sum(list(tally.every.values()), axis=0) if tally.every else np.zeros(len(gauge.edges) + 1, np.int64)
    cuts = [limit for source in gauge.bounds for limit in gauge.limits(source) if limit is not None]
    places = [*np.flatnonzero(every).tolist(), *np.searchsorted(gauge.edges, cuts).tolist()]
    low = max(0, min(places, default=0) - MARGIN_BINS)
    high = min(len(gauge.edges), max(places, default=0) + MARGIN_BINS + 1)
    return {
        "kind": "numbers",
        "label": gauge.label,
        "integer": gauge.integer,
        "closed": gauge.closed,
        "edges": gauge.edges[low:high].tolist(),
        "bounds": {source: list(gauge.limits(source)) for source in gauge.bounds},
        "every": {source: _folded(counts, low, high) for source, counts in tally.every.items()},
        "alone": {source: _folded(counts, low, high) for source, counts in tally.alone.items()},
        "unmeasured": dict(tally.unmeasured),
    }


def _folded(counts: np.ndarray, low: int, high: int) -> list[int]:
    """Counts of the bins around edges[low:high]; what lies outside is in the two open bins."""
    inner = counts[low : high + 1].tolist()
    inner[0] += int(counts[:low].sum())
    inner[-1] += int(counts[high + 1 :].sum())
    return inner


def words(tally: Tally) -> dict[str, Any]:
    """Values with their rows by source, the most frequent first, and which of them some source allows."""
    totals: Counter[str] = Counter()
    for (_, value), number in tally.words.items():
        totals[value] += number
    gauge = tally.gauge
    allowed = {} if isinstance(gauge, NumberGauge) else gauge.allowed
    passing = {value for values in allowed.values() for value in values}
    order = sorted(totals, key=lambda value: (value not in passing, -totals[value], value))
    shown = order[:WORDS_SHOWN]
    rest = {source: sum(n for (s, v), n in tally.words.items() if s == source and v not in shown) for source in allowed}
    values = [_value(value, tally, value in passing) for value in shown]
    if len(order) > len(shown):
        values.append({"value": f"{len(order) - len(shown)} others", "allowed": False, "rows": rest})
    column = "" if isinstance(gauge, NumberGauge) else gauge.column
    return {
        "kind": "words",
        "column": column,
        "values": values,
        "allowed": {source: list(each) for source, each in allowed.items()},
    }


def _value(value: str, tally: Tally, allowed: bool) -> dict[str, Any]:
    rows = {source: number for (source, each), number in sorted(tally.words.items()) if each == value}
    return {"value": value or "not measured", "allowed": allowed, "rows": rows}


def _sides(tally: Tally) -> list[dict[str, Any]]:
    """Galleries of one gauge: for each bound the rows just outside and just inside."""
    order = [(b, s) for b in ("minimum", "maximum", "set") for s in ("outside", "inside")]
    return [
        {"bound": bound, "side": side, "samples": [_pick(pick) for pick in tally.near[bound, side].picks]}
        for bound, side in order
        if (bound, side) in tally.near
    ]


def _pick(pick: Pick) -> dict[str, Any]:
    return {"id": sample_id(pick.unit, pick.row), "value": None if np.isnan(pick.value) else round(pick.value, 4)}


def duplicates(figures: Figures, recipe: Recipe, largest: dict[str, list[Cluster]]) -> list[dict[str, Any]]:
    """Every duplicate rule: clusters by size, and the largest ones."""
    return [
        _rule(rule, figures.clusters.losers(rule.reason), largest.get(rule.reason, [])) for rule in rules_of(recipe)
    ]


def _rule(rule: DuplicateRule, losers: np.ndarray, largest: list[Cluster]) -> dict[str, Any]:
    return {
        "word": rule.reason,
        "equal": rule.key,
        "allowed": rule.allowed,
        "clusters": len(losers),
        "dropped": int(losers.sum()),
        "sizes": [{"from": a, "to": b, "clusters": n} for a, b, n in size_histogram(losers, rule.allowed)],
        "largest": [{"keeper": c.keeper, "size": c.losers + rule.allowed, "members": c.members} for c in largest],
    }


def faults(figures: Figures) -> dict[str, dict[str, int]]:
    """Rows that could not be used, by reason and source; the most frequent reason first."""
    result: dict[str, dict[str, int]] = {}
    for source, counts in figures.verdicts.items():
        for reason, number in counts.items():
            if reason.split(":")[0] in FAULTS:
                result.setdefault(reason, {})[source] = number
    return dict(sorted(result.items(), key=lambda pair: (-sum(pair[1].values()), pair[0])))
