"""The answer to a what-if question, for Python and notebooks."""

from dataclasses import dataclass
from functools import cached_property

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.finished.stored_columns import StoredColumns
from qvl.pipeline.finished.whatif import CellCounts, WhatIfCounts, verdict_totals, whatif
from qvl.pipeline.html.elements import count, table
from qvl.pipeline.recipe.recipe import Recipe


@dataclass(frozen=True)
class WhatIf:
    """What the recipe ``changed`` would keep of the rows of a finished curation. Counted when it is first asked for."""

    columns: StoredColumns
    changed: Recipe

    @cached_property
    def counts(self) -> WhatIfCounts:
        """All counts by source: rows kept before and after, gained, lost, by verdict, and rows that cannot be judged."""
        return self._ask(("source",))

    def by(self, *dimensions: str) -> tuple[CellCounts, ...]:
        """Rows, rows kept before and after, gained and lost, for each combination of values of these ledger columns."""
        return self._ask(dimensions).by

    def _ask(self, dimensions: tuple[str, ...]) -> WhatIfCounts:
        return whatif(self.columns, self.changed, dimensions).counts()

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"<qvl.WhatIf {counts.rows:,} rows: {counts.kept_before:,} kept before, {counts.kept_after:,} after "
            f"({counts.gained:,} gained, {counts.lost:,} lost)>"
        )

    def _repr_html_(self) -> str:
        before, after = verdict_totals(self.counts.before), verdict_totals(self.counts.after)
        order = sorted({*before, *after}, key=lambda verdict: (verdict != KEEP, -before[verdict] - after[verdict]))
        rows = [(each, count(before[each]), count(after[each]), f"{after[each] - before[each]:+,}") for each in order]
        return table(("verdict", "before", "after", "difference"), rows)
