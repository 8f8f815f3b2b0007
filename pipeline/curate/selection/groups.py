"""Groups: consecutive scanned units, about a million rows each. The unit of work of select.

A group's rows are numbered through its units; a row of the whole input is a pair (group, position). Positions are a pure
function of the units' row counts, so they mean the same in every run.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import orjson

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.storage.atomic import replace_file
from qvl.pipeline.storage.paths import Place

GROUP_ROWS = 1_000_000


@dataclass(frozen=True)
class Group:
    """Units with their sources and row counts; ``starts[i]`` is the position of unit i's first row."""

    number: int
    units: tuple[str, ...]
    sources: tuple[str, ...]
    rows: tuple[int, ...]

    @cached_property
    def starts(self) -> np.ndarray:
        return np.concatenate(([0], np.cumsum(self.rows)))


def make_groups(units: list[dict[str, Any]], group_rows: int = GROUP_ROWS) -> list[Group]:
    """Groups over scan manifests, in their order; a unit is never split."""
    groups: list[Group] = []
    current: list[dict[str, Any]] = []
    rows = 0
    for unit in units:
        current.append(unit)
        rows += unit["rows"]
        if rows >= group_rows:
            groups.append(_group(len(groups), current))
            current, rows = [], 0
    if current:
        groups.append(_group(len(groups), current))
    return groups


def _group(number: int, units: list[dict[str, Any]]) -> Group:
    return Group(
        number,
        tuple(unit["unit"] for unit in units),
        tuple(unit["source"] for unit in units),
        tuple(unit["rows"] for unit in units),
    )


def write_groups(out: Place, groups: list[Group]) -> None:
    """Leave the groups where workers find them; replaced atomically, same input gives the same bytes."""
    data = orjson.dumps([[g.units, g.sources, g.rows] for g in groups])
    replace_file(out / "select" / "groups.json", data)


@lru_cache(maxsize=2)
def read_groups(out: Place, fingerprint: str) -> tuple[Group, ...]:
    """The groups of a run; ``fingerprint`` keeps a worker process from serving another run's."""
    try:
        content = orjson.loads((out / "select" / "groups.json").read_bytes())
    except FileNotFoundError:
        raise ContractError(f"{out}: select has no groups ({fingerprint}); run again") from None
    return tuple(Group(i, tuple(u), tuple(s), tuple(r)) for i, (u, s, r) in enumerate(content))
