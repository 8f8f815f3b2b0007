"""What-if for the app: which thresholds can be moved, what they would keep, and rows that would enter and leave.

The counts are those of ``pipeline.whatif``: exact, duplicate rules run again, no image read. Nothing is written: which
rows can meet in a duplicate rule is kept in memory, not in the output.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.changes import apply_changes
from pipeline.duplicates import rounds
from pipeline.errors import DataError
from pipeline.recipe import Recipe
from pipeline.report.gauges import DERIVED, NumberGauge, about, chosen_filters, gauges
from pipeline.rows import sample_id
from pipeline.stored import Stored, Twins
from pipeline.view.output import Output
from pipeline.view.queries import Query, counts, records
from pipeline.whatif import KEEP, UNSCORED, Answer, whatif

SHOWN = 18
REMEMBERED = 3
DERIVED_COLUMNS = {"image_size": "shorter_side", "image_pixels": "pixels", "aspect_ratio": "aspect_ratio"}
CARD = ("verdict", "source", "language", "width", "height", "caption")
SPREAD = np.uint64(0x9E3779B97F4A7C15)


class Remembering(Stored):
    """A finished run whose twins are kept in memory, unless its cache has them: the app writes nothing."""

    def twins(self, recipe: Recipe, rule: int) -> Twins:
        """Of the cache in the output where they are there, else found here and kept in memory."""
        known: dict[str, Twins] = self.__dict__.setdefault("known", {})
        files = self.twin_files(recipe, rule)
        if str(files[0]) not in known:
            kept = all(path.is_file() for path in files)
            known[str(files[0])] = super().twins(recipe, rule) if kept else self.make_twins(recipe, rule)
        return known[str(files[0])]


@dataclass
class WhatIf:
    """Questions to one output, one at a time; the last answers are remembered."""

    output: Output
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: dict[tuple[str, ...], Answer] = field(default_factory=dict)
    stored: Stored | None = None

    def ask(self, query: Query, changes: list[str], gone: threading.Event) -> dict[str, Any]:
        """Counts before and after, by source and verdict, and rows that the changes let in and put out.

        ``gone`` is set when nobody waits for the answer any more. Raises RecipeError for a change that makes no recipe.
        """
        if not changes:
            return _as_it_is(query)
        with self.lock:
            if gone.is_set():
                raise DataError("nobody waits for this answer")
            stored = self._stored()
            answer = self._answer(stored, tuple(changes))
        content = answer.content()
        content.pop("by")
        after = answer.after == 0
        before = answer.before == 0
        entering, leaving = np.flatnonzero(after & ~before), np.flatnonzero(before & ~after)
        content["entering"] = self._rows(query, stored, answer, entering)
        content["leaving"] = self._rows(query, stored, answer, leaving)
        waiting = np.flatnonzero(answer.after == answer.words.code(UNSCORED))
        content["waiting"] = self._rows(query, stored, answer, waiting)
        return content

    def warm(self) -> None:
        """Find which rows can meet in a duplicate rule before somebody asks."""
        with self.lock:
            stored = self._stored()
            for rule in range(len(rounds(stored.recipe))):
                stored.twins(stored.recipe, rule)

    def _stored(self) -> Stored:
        if self.output.stored is None:
            raise DataError("only a curation can be asked what other thresholds would keep")
        if self.stored is None:
            self.stored = Remembering.open(self.output.layout.out)
        return self.stored

    def _answer(self, stored: Stored, changes: tuple[str, ...]) -> Answer:
        if changes not in self.answers:
            answer = whatif(stored, apply_changes(stored.recipe, changes))
            while len(self.answers) >= REMEMBERED:
                self.answers.pop(next(iter(self.answers)))
            self.answers[changes] = answer
        return self.answers[changes]

    def _rows(self, query: Query, stored: Stored, answer: Answer, numbers: np.ndarray) -> list[dict[str, Any]]:
        """Cards of some of these rows: the same ones while a slider moves, so that the gallery does not flicker."""
        rank = numbers.astype(np.uint64) * SPREAD
        chosen = numbers[np.argpartition(rank, SHOWN)[:SHOWN]] if len(numbers) > SHOWN else numbers
        starts = np.concatenate([[0], np.cumsum([rows for group in stored.groups for rows in group.rows])])
        owner = np.searchsorted(starts, chosen, side="right") - 1
        after = {
            sample_id(stored.units[unit][0], int(number - starts[unit])): answer.words.name(int(answer.after[number]))
            for unit, number in zip(owner.tolist(), chosen.tolist(), strict=True)
        }
        cards = records(query, list(after), [query.table.column(name) for name in CARD])
        return [{**card, "after": after[card["_key"]]} for card in cards]


def _as_it_is(query: Query) -> dict[str, Any]:
    """The answer without a change, from the verdicts."""
    funnel: dict[str, dict[str, int]] = {}
    for source, verdict, rows, _ in counts(query, [query.table.column("source"), query.table.column("verdict")]):
        funnel.setdefault(source, {})[verdict] = rows
    every, kept = (sum(sum(f.values()) for f in funnel.values()), sum(f.get(KEEP, 0) for f in funnel.values()))
    nothing: dict[str, Any] = dict.fromkeys(("gained", "lost", "unscored", "missing", "uncompared"), 0)
    empty: dict[str, Any] = {name: [] for name in ("entering", "leaving", "waiting")}
    return {
        "rows": every,
        "kept_before": kept,
        "kept_after": kept,
        "before": funnel,
        "after": funnel,
        **nothing,
        **empty,
    }


def knobs(recipe: Recipe) -> list[dict[str, Any]]:
    """Every filter of a recipe with the thresholds that can be moved, in the order in which they judge."""
    numbers = {gauge.word: gauge for gauge in gauges(recipe) if isinstance(gauge, NumberGauge)}
    result = []
    for word, chosen in chosen_filters(recipe).items():
        first, gauge = next(iter(chosen.values())), numbers.get(word)
        bounds = [name for name in type(first).model_fields if name.startswith(("minimum", "maximum"))]
        column = DERIVED_COLUMNS[word] if word in DERIVED else first.reads[-1]
        result.append(
            {
                "word": word,
                "about": about(first),
                "label": gauge.label if gauge is not None else "",
                "column": column if gauge is not None else None,
                "bounds": bounds if gauge is not None else [],
                "values": {s: each.model_dump(mode="json", exclude_none=True) for s, each in chosen.items()},
            }
        )
    return result


def dedup_rules(recipe: Recipe) -> dict[str, Any]:
    """The duplicate rules as the recipe has them."""
    dumped: dict[str, Any] = recipe.dedup.model_dump(mode="json")
    return dumped
