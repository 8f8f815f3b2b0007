"""The task of every step of select: one group or one partition of one step."""

from dataclasses import dataclass, field

import pyarrow as pa

from qvl.pipeline.curate.measuring.added_columns import NOTHING_ADDED, AddedColumns
from qvl.pipeline.curate.measuring.chosen import TextChoice
from qvl.pipeline.curate.measuring.measured import read_measured
from qvl.pipeline.curate.selection.groups import Group, read_groups
from qvl.pipeline.duplicates.rules import DuplicateRule, duplicate_rules, partitions
from qvl.pipeline.recipe.balance import BalanceStep
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.storage.paths import AnyPath


@dataclass(frozen=True)
class SelectTask:
    """One group or one partition (``number``) of a step; ``rule`` is the index of the rule that the step serves.

    It counts the duplicate rules, or in the steps of balance those of balance.

    ``fingerprint`` is that of the whole stage; ``added`` are the columns that the ledger has besides its own.
    """

    out: AnyPath
    recipe: Recipe
    fingerprint: str
    number: int
    rule: int = -1
    added: AddedColumns = field(default=NOTHING_ADDED)

    @property
    def groups(self) -> tuple[Group, ...]:
        return read_groups(self.out, self.fingerprint)

    @property
    def group(self) -> Group:
        return self.groups[self.number]

    def read(self, unit: str, source: str, names: list[str]) -> pa.Table:
        """These columns of a unit as the filters judge them: those of a text are of the text that the recipe chooses."""
        choice = TextChoice.of(self.recipe, source)
        return read_measured(self.out, unit, names, self.recipe.score, self.added, choice)

    @property
    def rows(self) -> int:
        """The number of input rows of the whole run."""
        return sum(sum(group.rows) for group in self.groups)

    @property
    def partitions(self) -> int:
        return partitions(self.rows)

    @property
    def rules(self) -> tuple[DuplicateRule, ...]:
        return duplicate_rules(self.recipe)

    @property
    def balance_step(self) -> BalanceStep:
        """The step of balance that the step serves."""
        return self.recipe.balance[self.rule]

    @property
    def duplicate_rule(self) -> DuplicateRule:
        """The rule that the step serves."""
        return self.rules[self.rule]
