"""What stage speak commits: a manifest for each speaker and unit, and one for the whole stage."""

from dataclasses import dataclass

from qvl.pipeline.curate.measuring.manifests import Parts


@dataclass(frozen=True, slots=True)
class SpokenManifest:
    """The answers of one speaker about one unit. ``states`` counts the rows by state, ``faults`` the unusable ones by fault.

    ``answers`` is the number of different answers, and the tokens are theirs. ``parts`` are the things that the columns
    depend on, by name; ``fingerprint`` covers them and the filters that choose which rows are asked about.
    """

    unit: str
    source: str
    name: str
    speaker: str
    rows: int
    states: dict[str, int]
    faults: dict[str, int]
    answers: int
    prompt_tokens: int
    completion_tokens: int
    hash: str
    parts: Parts
    fingerprint: str


@dataclass(frozen=True, slots=True)
class SpeakerTotals:
    """What one speaker said about all rows. Each different answer counts once in ``answers``, the tokens and ``cost``.

    ``cost`` is in ``currency``, at the prices of the recipe, whenever the answers were paid; None without prices.
    """

    name: str
    model: str
    states: dict[str, int]
    answers: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class SpeakSummary:
    """All speakers of a run, in order. ``fingerprint`` covers their files and prices."""

    speakers: tuple[SpeakerTotals, ...]
    fingerprint: str
