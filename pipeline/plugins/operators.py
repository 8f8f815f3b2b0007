"""The operators of a recipe: the classes of its plug-ins with their parameters, and what identifies each of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import isabstract
from pathlib import Path
from types import ModuleType

import orjson
import pyarrow as pa
from pydantic import JsonValue

from qvl.pipeline.base.errors import ContractError, RecipeError
from qvl.pipeline.commit.fingerprint import file_hash, fingerprint
from qvl.pipeline.plugins.bases import Column, Filter, Operator, Scorer, Values
from qvl.pipeline.plugins.code import Code, explain, find_code
from qvl.pipeline.plugins.declared import declared_reads, written_columns
from qvl.pipeline.recipe.plugins import PluginModule

SCORER = "scorer"  # the kind of a plug-in in the note of a recipe; the others have none


@dataclass(frozen=True, slots=True)
class Plugin:
    """An operator of a recipe: its name, its source, its class, its parameters as JSON, and the hashes of its files.

    ``files`` has the name of each parameter that is a file, and the hash of that file.
    """

    name: str
    code: Code
    kind: str
    parameters: bytes
    files: tuple[tuple[str, str], ...] = ()

    def operator(self) -> Column | Scorer:
        """The operator, of which a process has one. Raises RecipeError where its class does not take the parameters."""
        return _open(self)

    def parameters_by_name(self) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = orjson.loads(self.parameters)
        return found

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns that it writes, in order."""
        return written_columns(self.name, self.operator())

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What its columns depend on besides the rows, by name. A file stands for its content."""
        return {
            "module": self.code.name,
            "source": self.code.hash,
            "version": str(self.operator().version),
            "parameters": {**self.parameters_by_name(), **dict(self.files)},
        }

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.identity)

    def note(self) -> dict[str, JsonValue]:
        """What identifies it and what it writes, for the note of a recipe."""
        return {**self.identity, "columns": {field.name: str(field.type) for field in self.schema}}


class ColumnPlugin(Plugin):
    """A column or a filter, computed from columns of scan."""

    __slots__ = ()

    def open(self) -> Column:
        operator = self.operator()
        if not isinstance(operator, Column):
            raise ContractError(f"{self.name} is a scorer")
        return operator

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(declared_reads(self.name, self.open()))


class ScorerPlugin(Plugin):
    """A scorer, computed in stage score."""

    __slots__ = ()

    def open(self) -> Scorer:
        operator = self.operator()
        if not isinstance(operator, Scorer):
            raise ContractError(f"{self.name} is no scorer")
        return operator

    def note(self) -> dict[str, JsonValue]:
        return {"kind": SCORER, **super().note()}


@dataclass(frozen=True, slots=True)
class Plugins:
    """All plug-ins of a recipe: those over columns of scan, and the scorers."""

    columns: tuple[ColumnPlugin, ...] = ()
    scorers: tuple[ScorerPlugin, ...] = ()

    @property
    def all(self) -> tuple[Plugin, ...]:
        return (*self.columns, *self.scorers)

    @property
    def filters(self) -> tuple[str, ...]:
        """The names of those that are filters."""
        return tuple(plugin.name for plugin in self.columns if isinstance(plugin.open(), Decisions))

    def note(self) -> dict[str, JsonValue]:
        """What identifies them, by name, for the note of a recipe."""
        return {plugin.name: plugin.note() for plugin in self.all}


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
    found: dict[str, Plugin] = {}
    for named in modules:
        code = find_code(named.module)
        for name, kind in _named_operators(named, code).items():
            if name in found:
                raise RecipeError(f"plugins: {code.name} and {found[name].code.name} both have an operator {name}")
            parameters, files = _with_files(name, kind, named)
            chosen = ScorerPlugin if issubclass(kind, Scorer) else ColumnPlugin
            found[name] = chosen(name, code, kind.__qualname__, orjson.dumps(parameters), files)
    columns = tuple(plugin for plugin in found.values() if isinstance(plugin, ColumnPlugin))
    scorers = tuple(plugin for plugin in found.values() if isinstance(plugin, ScorerPlugin))
    plugins = Plugins(columns, scorers)
    _check_writes(plugins)
    return plugins


def _named_operators(named: PluginModule, code: Code) -> dict[str, type[Operator]]:
    """The operators of a module, by their names in the recipe."""
    kinds: dict[str, type[Operator]] = {_name(kind): kind for kind in _operators(code.load())}
    if named.name is not None and kinds:
        if len(kinds) > 1:
            raise RecipeError(
                f"plugins: {code.name} has several operators, so `name` cannot name one: {', '.join(kinds)}"
            )
        kinds = {named.name: next(iter(kinds.values()))}
    unknown = sorted(set(named.parameters) - set(kinds))
    if unknown or not kinds:
        none = "no operator: no class derives from qvl.Column, qvl.Scorer or qvl.Filter"
        what = f"no operator {unknown[0]}" if unknown else none
        raise RecipeError(f"plugins: {code.name} has {what}{f'; it has {chr(44).join(kinds)}' if kinds else ''}")
    return kinds


def _with_files(
    name: str, kind: type[Operator], named: PluginModule
) -> tuple[dict[str, JsonValue], tuple[tuple[str, str], ...]]:
    """The parameters of an operator, with whole paths of its files, and the hashes of these files."""
    parameters, hashes = dict(named.parameters.get(name, {})), []
    for key in kind.files:
        given = parameters.get(key)
        if given is None:
            continue
        path = Path(named.folder) / str(given)
        if not path.is_file():
            raise RecipeError(f"plugins: {name}: {key}: {path}: no such file")
        parameters[key] = str(path)
        hashes.append((key, file_hash(path)))
    return parameters, tuple(hashes)


def _check_writes(plugins: Plugins) -> None:
    """Raise RecipeError where two operators write one column."""
    writers: dict[str, str] = {}
    for plugin in plugins.all:
        for name in plugin.schema.names:
            other = writers.setdefault(name.casefold(), plugin.name)
            if other != plugin.name:
                raise RecipeError(f"plugins: {other} and {plugin.name} both write the column {name}")


def _operators(module: ModuleType) -> list[type[Operator]]:
    """The operators that a module, or a package below it, defines itself, by name."""
    own = (
        value for _, value in sorted(vars(module).items()) if isinstance(value, type) and issubclass(value, Operator)
    )
    names = (module.__name__, f"{module.__name__}.")
    return [
        kind
        for kind in own
        if issubclass(kind, Column | Filter | Scorer)
        and not isabstract(kind)
        and (kind.__module__ == names[0] or kind.__module__.startswith(names[1]))
    ]


def _name(kind: type[Operator]) -> str:
    """The name of an operator: that of its class in snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()


@lru_cache(maxsize=256)
def _open(plugin: Plugin) -> Column | Scorer:
    kind = next(kind for kind in _operators(plugin.code.load()) if kind.__qualname__ == plugin.kind)
    try:
        operator = kind(**orjson.loads(plugin.parameters))
    except Exception as error:  # noqa: BLE001 - whatever a user's class raises
        raise RecipeError(f"plugins: {plugin.name}: {explain(error, plugin.code.name)}") from None
    if isinstance(operator, Filter):
        declared_reads(plugin.name, operator)
        return Decisions(plugin.name, operator)
    if not isinstance(operator, Column | Scorer):
        raise ContractError(f"{plugin.name} is no operator")
    if isinstance(operator, Column):
        declared_reads(plugin.name, operator)
    return operator
