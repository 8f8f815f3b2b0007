"""What a report holds: the content of ``report.json``, whose keys are these fields in this order."""

from dataclasses import dataclass, field
from typing import Literal, TypedDict

from pydantic import JsonValue

Bound = Literal["minimum", "maximum", "set"]
Side = Literal["inside", "outside"]
CountBySource = dict[str, int]


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """Rows that a reason dropped, and rows that were left after it."""

    reason: str
    dropped: CountBySource
    left: CountBySource


@dataclass(frozen=True, slots=True)
class Funnel:
    """Rows in, rows after each reason in the order in which they are judged, rows kept."""

    sources: list[str]
    rows: CountBySource
    steps: list[FunnelStep]
    kept: CountBySource


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A row of the paper's Table 2; ``remaining`` is a share of ``original``."""

    dataset: str
    original: int
    cleaned: int
    remaining: float | None


@dataclass(frozen=True, slots=True)
class TotalRow:
    """Our rows in total, next to the paper's total."""

    original: int
    cleaned: int
    remaining: float | None
    paper: PaperRow | None


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Our rows of a source, next to the paper's row that the recipe names for it."""

    source: str
    original: int
    cleaned: int
    remaining: float | None
    paper: PaperRow | None


@dataclass(frozen=True, slots=True)
class Table2Comparison:
    """All sources compared with the paper's Table 2."""

    rows: list[SourceRow]
    total: TotalRow


@dataclass(frozen=True, slots=True)
class Mix:
    """Cells of a cube: a position on each dimension, then rows before and rows after curation."""

    dimensions: dict[str, list[str]]
    cells: list[list[int]]


@dataclass(frozen=True, slots=True)
class NumberChart:
    """A histogram by source; see ``qvl.pipeline.html.charts.Histogram`` for its fields."""

    kind: str = field(default="numbers", init=False)
    label: str
    integer: bool
    closed: str
    edges: list[float]
    bounds: dict[str, list[float | None]]
    every: dict[str, list[int]]
    alone: dict[str, list[int]]
    unmeasured: CountBySource


@dataclass(frozen=True, slots=True)
class SetValue:
    """A value of a column, whether some source allows it, and its rows."""

    value: str
    allowed: bool
    rows: CountBySource


@dataclass(frozen=True, slots=True)
class SetChart:
    """The values of a column, and the values that each source allows."""

    kind: str = field(default="words", init=False)
    column: str
    values: list[SetValue]
    allowed: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Picked:
    """A row of a gallery; ``value`` is None where the filter compares a value with a set."""

    id: str
    value: float | None


@dataclass(frozen=True, slots=True)
class GallerySide:
    """The rows nearest to a bound, on one side of it."""

    bound: Bound
    side: Side
    samples: list[Picked]


@dataclass(frozen=True, slots=True)
class FilterReport:
    """A filter: its purpose, its settings by source, what it judged and dropped, and what the page shows of it."""

    word: str
    about: str
    rules: dict[str, dict[str, JsonValue]]
    readable: CountBySource
    failed: CountBySource
    dropped: CountBySource
    charts: list[NumberChart | SetChart]
    gallery: list[GallerySide]


ClusterSizes = TypedDict("ClusterSizes", {"from": int, "to": int, "clusters": int})
"""The number of clusters between two sizes, both included. (``from`` cannot name a dataclass field.)"""


@dataclass(frozen=True, slots=True)
class LargeCluster:
    """A duplicate cluster: the kept row, the number of rows, some of the dropped rows."""

    keeper: str
    size: int
    members: list[str]


@dataclass(frozen=True, slots=True)
class DuplicateReport:
    """A duplicate rule: what must be equal, how many rows of a cluster stay, and the clusters that it found."""

    word: str
    equal: str
    allowed: int
    clusters: int
    dropped: int
    sizes: list[ClusterSizes]
    largest: list[LargeCluster]


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Fingerprints of the dataset and of the recipe's parts behind it."""

    dataset: str
    select: str
    scan: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input file of the run."""

    name: str
    source: str
    rows: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What the dataset depends on: command, recipe, fingerprints, and the first of ``units`` input files."""

    command: str
    recipe: str
    fingerprints: Fingerprints
    units: int
    inputs: list[InputFile]


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a curation."""

    name: str
    hash: str
    rows: int
    kept: int
    remaining: float | None
    shards: int
    bytes: int
    seed: int
    funnel: Funnel
    table2: Table2Comparison
    mix: Mix
    filters: list[FilterReport]
    duplicates: list[DuplicateReport]
    faults: dict[str, CountBySource]
    reproduce: Reproduction
