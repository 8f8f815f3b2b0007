"""How two JSON values differ, leaf by leaf, for messages."""

import orjson
from pydantic import JsonValue

SHOWN_CHARACTERS = 60


def json_differences(before: JsonValue, after: JsonValue, path: str = "") -> list[str]:
    """The leaves that differ, each as ``path: before -> after``, such as ``stages.0.steps: 100 -> 200``.

    The items of lists of one length are compared one by one.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [line for key in keys for line in json_differences(before.get(key), after.get(key), f"{path}{key}.")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for at, (old, new) in pairs for line in json_differences(old, new, f"{path}{at}.")]
    return [] if before == after else [f"{path.rstrip('.')}: {_short(before)} -> {_short(after)}"]


def _short(value: JsonValue) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."
