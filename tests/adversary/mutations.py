"""Files of nested values, one value of which is replaced, dropped or repeated."""

import copy
from typing import Any

DROPPED = object()
REPEATED = object()
KeyPath = tuple[str | int, ...]


def paths(content: Any, at: KeyPath = ()) -> list[KeyPath]:
    """Every value, by the keys that lead to it."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [at, *(path for key, value in inner for path in paths(value, (*at, key)))]


def changed(content: Any, path: KeyPath, value: Any) -> Any:
    """A copy with another value at a path, without that value, or with it twice."""
    if not path:
        return None if value in (DROPPED, REPEATED) else copy.deepcopy(value)
    result = copy.deepcopy(content)
    node = result
    for key in path[:-1]:
        node = node[key]
    last: Any = path[-1]
    if value is DROPPED:
        del node[last]
    elif value is not REPEATED:
        node[last] = copy.deepcopy(value)
    elif isinstance(node, list):
        node.append(node[last])
    else:
        node[last] = [node[last]] * 2
    return result
