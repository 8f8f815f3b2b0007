"""What is to be taken down: a list of sample ids, addresses and image hashes, one a line."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.shards.scan import Scanned

HEX = re.compile(r"[0-9a-fA-F]+")
KINDS = ("id", "url", "sha", "sha256", "md5")


@dataclass(frozen=True)
class TakedownList:
    """Wanted values by kind. ``sha``: xxh3-128 of an image's bytes, ``origin.sha`` of our samples."""

    values: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def only_ids(self) -> bool:
        return not any(self.values[kind] for kind in KINDS if kind != "id")

    def of_key(self, key: str) -> str | None:
        """The line that names a sample by its id."""
        return f"id:{key}" if key in self.values["id"] else None

    def matches(self, sample: Scanned) -> tuple[str, dict[str, Any]] | None:
        """The line that a sample is on, and its ``origin``; None where it is on none."""
        content = sample.content()
        origin = content.get("origin", {})
        line = self.of_key(sample.key)
        if line is None and origin.get("url") in self.values["url"]:
            line = f"url:{origin['url']}"
        if line is None and self.values["sha"]:
            line = _first("sha", sample.image_hashes(content), self.values["sha"])
        for kind in ("sha256", "md5"):
            if line is None and self.values[kind]:
                images = (sample.image(number) for number in range(len(sample.images)))
                found = [hashlib.new(kind, data, usedforsecurity=False).hexdigest() for data in images]
                line = _first(kind, found, self.values[kind])
        return None if line is None else (line, origin)


def _first(kind: str, found: list[str], wanted: frozenset[str]) -> str | None:
    return next((f"{kind}:{digest}" for digest in found if digest in wanted), None)


def read_list(path: Path) -> TakedownList:
    """Read a list; empty lines and lines that begin with ``#`` are skipped. ``KIND:VALUE`` says what a value is.

    Without it: an address has ``://``, 64 hexadecimal digits are SHA-256, 32 are xxh3-128 (for MD5 write ``md5:``), all else
    is an id. Raises RecipeError for a list that cannot be read or names nothing.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a list, one id, address or hash a line ({error})") from None
    values: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            kind, value = _kind(line)
            values[kind].add(value)
    if not any(values.values()):
        raise RecipeError(f"{path}: no id, address or hash in it")
    return TakedownList({kind: frozenset(found) for kind, found in values.items()})


def _kind(line: str) -> tuple[str, str]:
    named, _, rest = line.partition(":")
    if named in KINDS and rest:
        return named, rest if named in ("id", "url") else rest.lower()
    if "://" in line:
        return "url", line
    if HEX.fullmatch(line) and len(line) in (32, 64):
        return "sha" if len(line) == 32 else "sha256", line.lower()
    return "id", line
