"""``revoked.jsonl``: the samples that were taken down from an output, one line each; they stay out of later packs too."""

from typing import Any

import orjson

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.storage.paths import AnyPath


def read_revoked(path: AnyPath) -> dict[str, dict[str, Any]]:
    """The records by sample id; empty where nothing was taken down. Raises DataError for a damaged file."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    try:
        return {record["id"]: record for record in map(orjson.loads, lines)}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise DataError(
            f"{path} is damaged: without it samples that were taken down would come back; mend it"
        ) from None
