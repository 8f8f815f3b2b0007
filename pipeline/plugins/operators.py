"""The operators of a recipe: the classes of its plug-ins with their parameters, and what identifies each of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import isabstract
from types import ModuleType
from typing import Any

import orjson
import pyarrow as pa
from pydantic import JsonValue

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import fingerprint
from qvl.pipeline.plugins.bases import Column, Filter, Operator, Values
from qvl.pipeline.plugins.code import Code, explain, find_code
from qvl.pipeline.recipe.plugins import PluginModule

COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}")


@dataclass(frozen=True, slots=True)
class ColumnPlugin:
    """A column of a recipe: its name (the class in snake_case), its source, its class and its parameters as JSON."""

    name: str
    code: Code
    kind: str
    parameters: bytes

    def open(self) -> Column:
        """The operator. Raises RecipeError where its class does not take the parameters."""
        return _open(self)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns that it writes, in order."""
        return _schema(self.name, self.open())

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.open().reads)

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What its columns depend on besides the rows, by name."""
        operator = self.open()
        return {
            "module": self.code.name,
            "source": self.code.hash,
            "version": str(operator.version),
            "parameters": orjson.loads(self.parameters),
        }

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.identity)


@dataclass(frozen=True, slots=True)
class Plugins:
    """All plug-ins of a recipe."""

    columns: tuple[ColumnPlugin, ...] = ()

    @property
    def filters(self) -> tuple[str, ...]:
        """The names of those that are filters."""
        return tuple(plugin.name for plugin in self.columns if isinstance(plugin.open(), Decisions))

    def note(self) -> dict[str, JsonValue]:
        """What identifies them, by name, for the note of a recipe."""
        return {
            plugin.name: {**plugin.identity, "columns": {field.name: str(field.type) for field in plugin.schema}}
            for plugin in self.columns
        }


NO_PLUGINS = Plugins()


class Decisions(Column):
    """The decisions of a filter as a boolean column of its name."""

    def __init__(self, name: str, judge: Filter) -> None:
        self.judge = judge
        self.reads, self.writes, self.version = judge.reads, {name: pa.bool_()}, judge.version  # type: ignore[misc]

    def apply(self, batch: pa.RecordBatch) -> Values:
        return self.judge.keep(batch)


def load_plugins(modules: Sequence[PluginModule]) -> Plugins:
    """Find and load what a recipe names. Raises RecipeError, with the name, for anything that cannot be used."""
    found: dict[str, ColumnPlugin] = {}
    for named in modules:
        code = find_code(named.module)
        kinds = {_name(kind): kind for kind in _operators(code.load())}
        unknown = sorted(set(named.parameters) - set(kinds))
        if unknown or not kinds:
            what = (
                f"no operator {unknown[0]}"
                if unknown
                else "no operator: no class derives from qvl.Column or qvl.Filter"
            )
            raise RecipeError(f"plugins: {code.name} has {what}{f'; it has {chr(44).join(kinds)}' if kinds else ''}")
        for name, kind in kinds.items():
            if name in found:
                raise RecipeError(f"plugins: {code.name} and {found[name].code.name} both have an operator {name}")
            found[name] = ColumnPlugin(
                name, code, kind.__qualname__, orjson.dumps(dict(named.parameters.get(name, {})))
            )
    plugins = Plugins(tuple(found.values()))
    _check_writes(plugins)
    return plugins


def _check_writes(plugins: Plugins) -> None:
    """Raise RecipeError where two operators write one column."""
    writers: dict[str, str] = {}
    for plugin in plugins.columns:
        for name in plugin.schema.names:
            other = writers.setdefault(name.casefold(), plugin.name)
            if other != plugin.name:
                raise RecipeError(f"plugins: {other} and {plugin.name} both write the column {name}")


def _operators(module: ModuleType) -> list[type[Column] | type[Filter]]:
    """The operators that a module, or a package below it, defines itself, by name."""
    own = (
        value for _, value in sorted(vars(module).items()) if isinstance(value, type) and issubclass(value, Operator)
    )
    names = (module.__name__, f"{module.__name__}.")
    return [
        kind
        for kind in own
        if issubclass(kind, Column | Filter)
        and not isabstract(kind)
        and (kind.__module__ == names[0] or kind.__module__.startswith(names[1]))
    ]


def _name(kind: type[Operator]) -> str:
    """The name of an operator: that of its class in snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


@lru_cache(maxsize=256)
def _open(plugin: ColumnPlugin) -> Column:
    kind = next(kind for kind in _operators(plugin.code.load()) if kind.__qualname__ == plugin.kind)
    try:
        operator = kind(**orjson.loads(plugin.parameters))
    except Exception as error:  # noqa: BLE001 - whatever a user's class raises
        raise RecipeError(f"plugins: {plugin.name}: {explain(error, plugin.code.name)}") from None
    if isinstance(operator, Column):
        return operator
    if not hasattr(operator, "reads"):
        raise RecipeError(f"plugins: {plugin.name}: `reads` must be a list of column names, such as ['caption']")
    return Decisions(plugin.name, operator)


def _schema(name: str, operator: Column) -> pa.Schema:
    """What an operator writes. Raises RecipeError for a declaration that is not one."""
    reads: Any = getattr(operator, "reads", None)
    writes: Any = getattr(operator, "writes", None)
    if (
        isinstance(reads, str)
        or not isinstance(reads, Sequence)
        or not reads
        or not all(isinstance(each, str) for each in reads)
    ):
        raise RecipeError(f"plugins: {name}: `reads` must be a list of column names, such as ['caption']")
    if not isinstance(writes, dict) or not writes:
        raise RecipeError(
            f"plugins: {name}: `writes` must map names of columns to types, such as {{'length': 'int32'}}"
        )
    bad = next((each for each in writes if not isinstance(each, str) or COLUMN_NAME.fullmatch(each) is None), None)
    if bad is not None:
        raise RecipeError(f"plugins: {name}: {bad} is not a valid column name; use letters, digits and _")
    try:
        return pa.schema(
            (column, kind if isinstance(kind, pa.DataType) else pa.type_for_alias(kind))
            for column, kind in writes.items()
        )
    except (ValueError, TypeError, pa.ArrowException):
        raise RecipeError(f"plugins: {name}: `writes` has a value that is not an Arrow type") from None
