"""Which of its texts a row gets, as a function of the stored texts, their scores and the recipe.

Nothing is stored: whoever reads columns of a source with several captions computes the choice, so that it fits the recipe
that is asked about.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from qvl.pipeline.base.arrays import flags
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.curate.measuring.columns import CATEGORY
from qvl.pipeline.curate.measuring.texts import CAPTION_FROM, TEXT_COLUMNS, TEXT_SCORES, row_starts
from qvl.pipeline.filters import Filters
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.recipe.caption import Caption
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.recipe.score import Score
from qvl.pipeline.storage.arrow_files import read_parquet
from qvl.pipeline.storage.paths import AnyPath

OF_TEXTS = frozenset((*TEXT_COLUMNS, CAPTION_FROM))
CLIP = frozenset(("clip", *TEXT_SCORES.names))
MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class TextChoice:
    """How the rows of one source get their text. ``captions`` names the texts of the source, in its order."""

    captions: tuple[str, ...]
    rule: Caption
    filters: Filters
    score: Score | None

    @classmethod
    def of(cls, recipe: Recipe, source: str) -> "TextChoice | None":
        """The choice of a source; None where a row has one caption."""
        rule = recipe.caption_of(source)
        if rule is None:
            return None
        return cls(tuple(recipe.source(source).read.columns.captions), rule, recipe.filters_of(source), recipe.score)

    @property
    def has_scores(self) -> bool:
        return self.score is not None and self.score.clip is not None

    @property
    def columns(self) -> frozenset[str]:
        """The columns whose values are those of the chosen text."""
        return OF_TEXTS | CLIP if self.has_scores else OF_TEXTS

    def text_filters(self) -> list[Filter]:
        """The filters that judge texts."""
        return [chosen for _, _, chosen in self.filters.active() if set(chosen.judged_columns) & self.columns]

    def identity(self) -> list[object]:
        """Everything that the choice depends on besides the texts and their scores."""
        filters = [
            [name, chosen.model_dump()]
            for _, name, chosen in self.filters.active()
            if set(chosen.judged_columns) & self.columns
        ]
        return [self.captions, self.rule.model_dump(), filters, self.has_scores]

    def read(self, out: AnyPath, unit: str, names: list[str], unscored: np.ndarray | None) -> pa.Table:
        """These columns of the chosen text of each row; null in a row that has no text which may be chosen.

        ``unscored`` is True for rows without scores; None if no row has been scored yet.
        """
        needed = {name for chosen in self.text_filters() for name in chosen.judged_columns} | {*names}
        needed |= {"language"} if self.rule.language else set()
        needed |= {self.rule.best} if self.rule.best is not None else set()
        texts = self._texts(out, unit, needed, unscored is not None)
        starts = row_starts(texts["row"])
        if unscored is None or not self.has_scores:
            unscored = np.full(len(starts), self.has_scores)
        chosen = choose_texts(texts, unit, self, unscored)
        return texts.select(names).take(pa.array(chosen, mask=chosen < 0))

    def _texts(self, out: AnyPath, unit: str, needed: set[str], scored: bool) -> pa.Table:
        """The texts of a unit with these columns and those that every choice reads."""
        stored = sorted({"row", "text", "index", *(needed & {*TEXT_COLUMNS})})
        texts = read_parquet(Layout(out).texts(unit), stored)
        if CAPTION_FROM in needed:
            texts = texts.append_column(pa.field(CAPTION_FROM, CATEGORY), labels(texts))
        if not needed & CLIP or not self.has_scores:
            return texts
        scores = read_parquet(Layout(out).text_scores(unit), TEXT_SCORES.names) if scored else None
        for field in TEXT_SCORES:
            texts = texts.append_column(field, scores[field.name] if scores else pa.nulls(len(texts), field.type))
        return texts.append_column("clip", pc.coalesce(texts["clip_chinese"], texts["clip_english"]))


def labels(texts: pa.Table) -> pa.Array:
    """The name of each text: that of its column, with the index behind it where the column holds a list."""
    names, index = texts["text"].combine_chunks().cast(pa.string()), texts["index"].combine_chunks()
    numbered = pc.binary_join_element_wise(names, index.cast(pa.string()), ".")
    return pc.if_else(pc.less(index, 0), names, numbered).dictionary_encode().cast(CATEGORY)


def choose_texts(texts: pa.Table, unit: str, choice: TextChoice, unscored: np.ndarray) -> np.ndarray:
    """For each row the number of its text, or -1 for a row without a text that may be chosen.

    The first text that passes all text filters is chosen, else the first text. Of a row without scores (``unscored``) a
    text that passes the filters which need none comes before one that does not.
    """
    starts = row_starts(texts["row"])
    if not len(starts):
        return np.zeros(0, np.int64)
    row = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(texts))))
    allowed, position = _positions(texts, choice)
    passes, passes_unscored = _passes(texts, choice)
    tier = np.where(passes, 0, np.where(unscored[row] & passes_unscored, 1, 2))
    tier[~allowed] = 3
    keys = [
        np.arange(len(texts)),
        position,
        *_preference(texts, unit, choice, row),
        _language(texts, choice),
        tier,
        row,
    ]
    order = np.lexsort(keys)
    first = order[np.searchsorted(row[order], np.arange(len(starts)))]
    result: np.ndarray = np.where(allowed[first], first, -1)
    return result


def _positions(texts: pa.Table, choice: TextChoice) -> tuple[np.ndarray, np.ndarray]:
    """Whether each text may be chosen, and the position of its name in the order."""
    order = choice.rule.candidates(choice.captions)
    names = texts["text"].combine_chunks()
    ranks = [order.index(name) if name in order else len(order) for name in names.dictionary.to_pylist()]
    position = np.array(ranks, np.int64)[names.indices.to_numpy()]
    return position < len(order), position


def _passes(texts: pa.Table, choice: TextChoice) -> tuple[np.ndarray, np.ndarray]:
    """Whether each text passes all text filters, and whether it passes those that need no scores."""
    every, unscored = np.ones(len(texts), bool), np.ones(len(texts), bool)
    measured = choice.score.measured() if choice.score is not None else frozenset()
    for chosen in choice.text_filters():
        passed = flags(pc.fill_null(chosen.keep(texts), False))
        every &= passed
        if not measured & set(chosen.judged_columns):
            unscored &= passed
    return every, unscored


def _language(texts: pa.Table, choice: TextChoice) -> np.ndarray:
    """The position of each text's language among the preferred ones; after them all others."""
    preferred = choice.rule.language
    if not preferred:
        return np.zeros(len(texts), np.int64)
    found = texts["language"].combine_chunks()
    known = [preferred.index(name) if name in preferred else len(preferred) for name in found.dictionary.to_pylist()]
    codes = pc.fill_null(found.indices.cast(pa.int64()), len(known)).to_numpy()
    result: np.ndarray = np.array([*known, len(preferred)], np.int64)[codes]
    return result


def _preference(texts: pa.Table, unit: str, choice: TextChoice, row: np.ndarray) -> list[np.ndarray]:
    """What comes before the order of the names: the highest value, or the draw of a mix. Smaller is better."""
    rule = choice.rule
    if rule.best is not None:
        values = np.asarray(texts[rule.best].combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False))
        return [np.where(np.isnan(values), np.inf, -values)]
    if not rule.mix:
        return []
    names = texts["text"].combine_chunks()
    known, codes = names.dictionary.to_pylist(), names.indices.to_numpy().astype(np.int64)
    shares = np.array([rule.mix.get(name, 0.0) for name in known])[codes]
    group = row * len(known) + codes
    _, inverse, counts = np.unique(group, return_inverse=True, return_counts=True)
    shares = shares / counts[inverse]
    race = np.full(len(texts), np.inf)
    drawn = -np.log(_draws(texts, unit, rule.seed, row, known, codes))
    np.divide(drawn, shares, out=race, where=shares > 0)
    return [race]


def _draws(texts: pa.Table, unit: str, seed: int, row: np.ndarray, names: list[str], codes: np.ndarray) -> np.ndarray:
    """A number between 0 and 1 for each text, from the seed, the unit, the row, the text's name and its index alone."""
    of_name = np.array([xxhash.xxh3_64_intdigest(name.encode()) for name in names], np.uint64)[codes]
    index = (texts["index"].combine_chunks().to_numpy().astype(np.int64) + 1).astype(np.uint64)
    of_unit = np.uint64(xxhash.xxh3_64_intdigest(f"{seed} {unit}".encode()))
    mixed = _scrambled(row.astype(np.uint64) * MIX ^ of_unit)
    mixed = _scrambled(_scrambled(mixed ^ of_name) ^ index * MIX)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def _scrambled(values: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers that changes half of their bits for each changed bit (splitmix64's finaliser)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: np.ndarray = values ^ (values >> np.uint64(31))
    return result
