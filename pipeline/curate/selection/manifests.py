"""What stage select commits: a manifest for each array of a step, for each group of the ledger, and for the whole stage."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArrayManifest:
    """One array of a step. Part i of an array that is divided into parts holds rows [``offsets[i]``, ``offsets[i + 1]``)."""

    fingerprint: str
    rows: int
    hash: str
    offsets: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class LedgerUnit:
    """The ledger of one unit: its source, the hash of its file, and its rows by verdict."""

    source: str
    hash: str
    verdicts: dict[str, int]


@dataclass(frozen=True, slots=True)
class LedgerManifest:
    """The ledgers of one group, by unit id.

    ``languages`` counts, by language and verdict, the rows that passed all filters. It is null unless the recipe allows
    several languages.
    """

    fingerprint: str
    units: dict[str, LedgerUnit]
    languages: dict[str, dict[str, int]] | None = None


@dataclass(frozen=True, slots=True)
class SelectSummary:
    """The whole stage. ``verdicts`` counts rows by source and verdict; they add up to ``rows``."""

    fingerprint: str
    groups: int
    rows: int
    verdicts: dict[str, dict[str, int]]
