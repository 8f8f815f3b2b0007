"""Rows of each language that duplicate rules removed, and a warning where a rule removed most rows of a language."""

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.curate.selection.manifests import LedgerManifest
from qvl.pipeline.duplicates.rules import DUPLICATE_REASONS
from qvl.pipeline.recipe.recipe import Recipe

LanguageVerdicts = dict[str, dict[str, int]]
COMPARED = pa.array([KEEP, *DUPLICATE_REASONS])
BALANCED = "balanced:"
MOST = 0.5
FEWEST_ROWS = 100  # of fewer rows, most may go by chance


def count_by_language(language: pa.ChunkedArray, verdict: pa.ChunkedArray) -> LanguageVerdicts:
    """Rows by language and verdict, sorted, of the rows that are kept, lost to a duplicate or dropped by balance."""
    table = pa.table({"language": language.cast(pa.string()), "verdict": verdict.cast(pa.string())})
    compared = pc.or_(pc.is_in(table["verdict"], COMPARED), pc.starts_with(table["verdict"], BALANCED))
    table = table.filter(compared)
    counted = table.group_by(["language", "verdict"]).aggregate([([], "count_all")])
    counts: LanguageVerdicts = {}
    for row in counted.sort_by([("language", "ascending"), ("verdict", "ascending")]).to_pylist():
        counts.setdefault(str(row["language"] or "und"), {})[row["verdict"]] = row["count_all"]
    return counts


def sum_by_language(ledgers: Iterable[LedgerManifest]) -> dict[str, Counter[str]]:
    """The counts of all groups together."""
    total: dict[str, Counter[str]] = {}
    for ledger in ledgers:
        for language, counts in (ledger.languages or {}).items():
            total.setdefault(language, Counter()).update(counts)
    return total


def language_warnings(recipe: Recipe, ledgers: Iterable[LedgerManifest]) -> list[str]:
    """One line for each duplicate rule and language where the rule removed more than half of what the filters kept."""
    lines = []
    for language, counts in sorted(sum_by_language(ledgers).items()):
        total = counts.total()
        for reason in DUPLICATE_REASONS:
            if total >= FEWEST_ROWS and counts[reason] > MOST * total:
                lines.append(
                    f"{reason} removed {counts[reason]:,} of the {total:,} rows in language {language!r} that passed all "
                    f"filters{_advice(recipe, reason)}"
                )
    return lines


def _advice(recipe: Recipe, reason: str) -> str:
    if reason in ("duplicate_pair", "repeated_text") or "language" in recipe.duplicates_per():
        return ""
    return "; `dedup: {per: [language]}` compares images only within a language"
