"""Untrusted YAML as plain values within bounds: a file of a few hundred bytes can describe billions of values.

Aliases are counted as often as they occur before anything is built from them. Text, numbers, dates, lists and mappings with
text as keys are accepted; binary values and sets are not, because no recipe needs them.
"""

from datetime import date
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_VALUES = 200_000


class YamlFault(ValueError):
    """The text is not YAML that we accept. The message is one line."""


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a mapping may hold a key only once; PyYAML would silently use the last one."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise YamlFault(f"nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value} occurs twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises YamlFault, and OSError if it cannot be read."""
    with path.open("rb") as file:
        return parse_yaml(file.read(MAX_BYTES + 1))


def parse_yaml(data: bytes | str) -> Any:
    """The content of YAML text. Raises YamlFault with one line that says what is wrong."""
    if len(data) > MAX_BYTES:
        raise YamlFault(f"longer than {MAX_BYTES >> 20} MiB")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        return _plain(_values(text))
    except UnicodeDecodeError:
        raise YamlFault("it is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise YamlFault(" ".join(str(error).split())) from None


def _values(text: str) -> Any:
    """What the text says. PyYAML's constructors raise many kinds of errors for numbers and dates that do not exist."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except (YamlFault, yaml.YAMLError):
        raise
    except (ValueError, TypeError, AttributeError, OverflowError, LookupError) as error:
        raise YamlFault(f"a value cannot be read: {error}") from None
    finally:
        loader.dispose()


def _check_size(root: yaml.Node) -> None:
    """Raise YamlFault if a tree has too many values or levels once its aliases are expanded, or if one contains itself."""
    sizes: dict[int, tuple[int, int]] = {}
    unfinished: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, 1
        if id(node) in unfinished:
            raise YamlFault("an alias contains itself")
        if id(node) not in sizes:
            unfinished.add(id(node))
            pairs = isinstance(node, yaml.MappingNode)
            children = [child for pair in node.value for child in pair] if pairs else node.value
            measured = [measure(child) for child in children]
            unfinished.discard(id(node))
            sizes[id(node)] = (
                1 + sum(size for size, _ in measured),
                1 + max((depth for _, depth in measured), default=0),
            )
            if sizes[id(node)][0] > MAX_VALUES:
                raise YamlFault(f"more than {MAX_VALUES:,} values, counting those that aliases repeat")
            if sizes[id(node)][1] > MAX_DEPTH:
                raise YamlFault(f"nested more than {MAX_DEPTH} deep")
        return sizes[id(node)]

    measure(root)


def _plain(value: Any) -> Any:
    """A copy in which no part is shared. Raises YamlFault for a value that no recipe needs."""
    if isinstance(value, dict):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise YamlFault(f"the key {wrong[0]} is not text; write it in quotes")
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
            raise YamlFault(f"{value[:40]!a} contains a character that is not text")
        return value
    if value is None or isinstance(value, int | float | date):
        return value
    raise YamlFault(f"a value is {type(value).__name__}; use text, numbers, lists and mappings")
