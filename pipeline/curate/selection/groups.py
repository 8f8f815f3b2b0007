"""Groups: consecutive scanned units, about a million rows each. A group is the unit of work of select.

The rows of a group are numbered through its units; a row of the whole input is a pair (group, position). Positions depend
on the units' row counts alone, so they mean the same in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import orjson

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import AnyPath

GROUP_ROWS = 1_000_000


@dataclass(frozen=True)
class Group:
    """Units with their sources and row counts."""

    number: int
    units: tuple[str, ...]
    sources: tuple[str, ...]
    rows: tuple[int, ...]

    @cached_property
    def starts(self) -> np.ndarray:
        """Positions in the group [units + 1]: ``starts[i]`` is that of unit i's first row, the last one is the row count.

        Units of 3, 0 and 4 rows have the starts 0, 3, 3, 7: position 5 is row 5 - 3 = 2 of the third unit.
        """
        return np.concatenate(([0], np.cumsum(self.rows)))


def make_groups(units: Sequence[ScanManifest], group_rows: int = GROUP_ROWS) -> list[Group]:
    """Groups over scanned units, in their order; a unit is never split."""
    groups: list[Group] = []
    current: list[ScanManifest] = []
    rows = 0
    for unit in units:
        current.append(unit)
        rows += unit.rows
        if rows >= group_rows:
            groups.append(_group(len(groups), current))
            current, rows = [], 0
    if current:
        groups.append(_group(len(groups), current))
    return groups


def _group(number: int, units: list[ScanManifest]) -> Group:
    return Group(
        number,
        tuple(unit.unit for unit in units),
        tuple(unit.source for unit in units),
        tuple(unit.rows for unit in units),
    )


def write_groups(out: AnyPath, groups: list[Group]) -> None:
    """Write the groups for the workers, in one atomic step; the same groups give the same bytes."""
    data = orjson.dumps([[group.units, group.sources, group.rows] for group in groups])
    replace_file(out / "select" / "groups.json", data)


@lru_cache(maxsize=2)
def read_groups(out: AnyPath, fingerprint: str) -> tuple[Group, ...]:
    """The groups of a run; ``fingerprint`` keeps the cache of a worker process from serving those of another run."""
    try:
        content = orjson.loads((out / "select" / "groups.json").read_bytes())
    except FileNotFoundError:
        raise ContractError(f"{out}: select has no groups ({fingerprint}); run the same command again") from None
    return tuple(
        Group(number, tuple(units), tuple(sources), tuple(rows))
        for number, (units, sources, rows) in enumerate(content)
    )
