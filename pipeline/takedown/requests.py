"""What is to be taken down: a list of sample ids, addresses and image hashes, one per line."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.shards.scan import ScannedSample

HEX = re.compile(r"[0-9a-fA-F]+")
KINDS = ("id", "url", "sha", "sha256", "md5")


@dataclass(frozen=True, slots=True)
class TakedownMatch:
    """The line that a sample is on, as ``KIND:VALUE``, with ``url`` and ``sha`` of the sample's origin."""

    line: str
    url: str
    sha: str


@dataclass(frozen=True, slots=True)
class TakedownList:
    """Wanted values by kind. ``sha`` is the hex xxh3-128 of an image's bytes, the ``origin.sha`` of our samples."""

    values: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def only_ids(self) -> bool:
        return not any(self.values[kind] for kind in KINDS if kind != "id")

    def line_of_id(self, key: str) -> str | None:
        """The line that names a sample by its id."""
        return f"id:{key}" if key in self.values["id"] else None

    def match(self, sample: ScannedSample) -> TakedownMatch | None:
        """The first line that a sample is on, or None. Image bytes are read only if a line needs their hash."""
        record = sample.record()
        origin = record.origin
        line = self.line_of_id(sample.key)
        if line is None and origin.url in self.values["url"]:
            line = f"url:{origin.url}"
        if line is None and self.values["sha"]:
            line = self._line_of_hash("sha", sample.image_hashes(record))
        for kind in ("sha256", "md5"):
            if line is None and self.values[kind]:
                line = self._line_of_hash(kind, _digests(kind, sample))
        return None if line is None else TakedownMatch(line, origin.url, origin.sha)

    def _line_of_hash(self, kind: str, digests: Iterable[str]) -> str | None:
        return next((f"{kind}:{digest}" for digest in digests if digest in self.values[kind]), None)


def _digests(kind: str, sample: ScannedSample) -> list[str]:
    """Hex digests of all images of a sample."""
    images = (sample.image(number) for number in range(len(sample.images)))
    return [hashlib.new(kind, data, usedforsecurity=False).hexdigest() for data in images]


def read_list(path: Path) -> TakedownList:
    """Read a list. Empty lines and lines that begin with ``#`` are skipped. ``KIND:VALUE`` states the kind of a value.

    Without a kind, a value with ``://`` is an address, 64 hexadecimal digits are a SHA-256, 32 are an xxh3-128 (for an MD5
    write ``md5:``), and anything else is an id. Raises RecipeError if the list cannot be read or names nothing.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a list with one id, address or hash per line ({error})") from None
    values: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            kind, value = _kind(line)
            values[kind].add(value)
    if not any(values.values()):
        raise RecipeError(f"{path}: there is no id, address or hash in it")
    return TakedownList({kind: frozenset(found) for kind, found in values.items()})


def _kind(line: str) -> tuple[str, str]:
    """Kind and normalized value of a line."""
    named, _, rest = line.partition(":")
    if named in KINDS and rest:
        return named, rest if named in ("id", "url") else rest.lower()
    if "://" in line:
        return "url", line
    if HEX.fullmatch(line) and len(line) in (32, 64):
        return "sha" if len(line) == 32 else "sha256", line.lower()
    return "id", line
