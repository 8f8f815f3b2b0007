"""What the stages scan and score commit: a manifest for each unit, and one for the whole stage."""

from dataclasses import dataclass

from pydantic import JsonValue

Parts = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class ScanManifest:
    """The columns of one unit. ``hash`` is that of the columns' file; ``fingerprint`` is the hash of ``parts``.

    ``faults`` counts the unusable rows by fault. ``parts`` are the things that the columns depend on, by name, so that a
    later run can say which of them changed. ``carried`` names the types of the carried columns (absent without any).
    ``left_out`` counts what the file has next to its rows, such as folders and unknown files, and ``unpaired`` the samples
    with only a picture or only a text, where these are most of the file (both absent without any). ``texts`` is the hash of
    the file of texts (absent where a row has one caption).
    """

    unit: str
    source: str
    name: str
    rows: int
    image_bytes: int
    faults: dict[str, int]
    hash: str
    parts: Parts
    fingerprint: str
    carried: dict[str, str] | None = None
    left_out: dict[str, int] | None = None
    unpaired: int = 0
    texts: str | None = None

    def hashes(self) -> list[str]:
        """The hashes of the files of the unit."""
        return [self.hash, *([self.texts] if self.texts is not None else [])]


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """All units of stage scan. ``root`` is the Merkle root of the units' ids and hashes, in order."""

    units: int
    rows: int
    root: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ComputedManifest:
    """The columns of one plug-in for one unit. ``faults`` counts the rows that made it fail, by fault.

    ``parts`` are the things that the columns depend on, by name; ``fingerprint`` is their hash.
    """

    unit: str
    source: str
    plugin: str
    rows: int
    faults: dict[str, int]
    hash: str
    parts: Parts
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ScoreManifest:
    """The scores of one unit. ``states`` counts the rows by ``score_state``.

    ``weights`` holds the hash of each CLIP model's weights (absent without CLIP), ``embeddings`` the hash of the file of
    image vectors (absent where the recipe does not keep them). ``parts`` are the things that the scores depend on.
    ``texts`` is the hash of the scores of texts (absent where a row has one caption).
    """

    unit: str
    source: str
    name: str
    rows: int
    states: dict[str, int]
    hash: str
    parts: Parts
    fingerprint: str
    weights: dict[str, str] | None = None
    embeddings: str | None = None
    texts: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """All units of stage score. ``fingerprint`` is the Merkle root of the units' ids and hashes, in order."""

    units: int
    rows: int
    fingerprint: str
