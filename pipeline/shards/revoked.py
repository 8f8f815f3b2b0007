"""``revoked.jsonl``: the samples that were taken down from an output, one line each. Later packs leave them out, too."""

from collections.abc import Iterable
from dataclasses import dataclass

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.commit.records import decode, encode_line
from qvl.pipeline.storage.paths import AnyPath


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedSample:
    """A sample that was taken down. The fields are in the order in which a line holds them.

    ``by`` is the line of the takedown list that matched, ``date`` is ISO 8601. ``url`` and ``sha`` (hex xxh3-128
    of the image) come from the sample's origin. ``also`` are the files besides the shard from which the sample was cleared.
    """

    id: str
    shard: str = ""
    by: str
    date: str
    url: str = ""
    sha: str = ""
    also: tuple[str, ...] | None = None


def read_revoked(path: AnyPath) -> dict[str, RevokedSample]:
    """The records by sample id; empty if nothing was taken down. Raises DataError for a corrupted file."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    try:
        records = [decode(RevokedSample, line, str(path)) for line in lines]
    except DataError as error:
        raise DataError(
            f"{error}: the record is corrupted, and without it samples that were taken down would come back; repair it"
        ) from None
    return {record.id: record for record in records}


def encode_revoked(records: Iterable[RevokedSample]) -> bytes:
    """The content of ``revoked.jsonl``."""
    return b"".join(encode_line(record) for record in records)
