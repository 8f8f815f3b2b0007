"""The manifest of a built unit: a tar of samples with its index and ledger, from which shards are packed."""

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class BuiltUnitManifest:
    """What one unit of a builder became. Hashes are xxh3-128 of files; ``hash`` is that of the tar.

    ``parts`` is everything the result depends on, by name, and ``fingerprint`` is the hash of ``parts``. A takedown blanks
    samples in the tar: then ``hash`` describes the blanked file, and ``made_hash`` is the hash of the tar as it was built.
    """

    unit: str
    source: str
    name: str
    rows: int
    samples: int
    verdicts: dict[str, int]
    hash: str
    index_hash: str
    ledger_hash: str
    parts: dict[str, JsonValue]
    fingerprint: str
    made_hash: str | None = None

    @property
    def built_hash(self) -> str:
        """The hash of the tar as it was built, which no takedown changes."""
        return self.hash if self.made_hash is None else self.made_hash
