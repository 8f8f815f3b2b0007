"""The source of plug-ins: found once, identified by its bytes, and carried with the tasks to the workers that run it.

A file next to the recipe is a module of its own. Of an installed package all files belong to the source. What a worker loads
is what the driver found, whatever that worker has installed.
"""

import importlib
import importlib.metadata
import pkgutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.commit.fingerprint import content_hash, fingerprint
from qvl.pipeline.storage.atomic import replace_file

SHIPPED = "qvl.pipeline.scorers"
ENTRY_POINTS = "qvl.plugins"
MOST_BYTES = 4 << 20  # of a package: its source travels with every task
SKIPPED = ("__pycache__",)


@dataclass(frozen=True, slots=True)
class FileCode:
    """A plug-in in one file; ``name`` is the file's name without its folder."""

    name: str
    data: bytes

    @property
    def hash(self) -> str:
        """Identifies the source."""
        return content_hash(self.data)

    def load(self) -> types.ModuleType:
        """The module. It is run once in a process. Raises RecipeError where its code raises."""
        return _file_module(self)


@dataclass(frozen=True, slots=True)
class PackageCode:
    """A plug-in in an importable package: the module to import, and all files of its package by their paths."""

    name: str
    files: tuple[tuple[str, bytes], ...]

    @property
    def hash(self) -> str:
        """Identifies the source."""
        return fingerprint([[path, content_hash(data)] for path, data in self.files])

    def load(self) -> types.ModuleType:
        """The module, from where it is installed if that is the same source, otherwise from a copy of these files."""
        return _package_module(self)


@dataclass(frozen=True, slots=True)
class ShippedCode:
    """An operator that comes with qvl: ``qvl.scorers.NAME``. Its declared version identifies it, not its source."""

    name: str

    @property
    def hash(self) -> str:
        """The same for all versions of qvl: an operator raises its own version when its results change."""
        return "qvl"

    def load(self) -> types.ModuleType:
        """The module. Raises RecipeError where a package that it needs is not installed."""
        return _explained(self.name, lambda: importlib.import_module(f"{SHIPPED}.{self.name.rpartition('.')[2]}"))


Code = FileCode | PackageCode | ShippedCode


def find_code(named: str) -> Code:
    """The source of what a recipe names: a path that ends in .py, an entry point, or a module. Raises RecipeError."""
    if named.endswith(".py"):
        try:
            return FileCode(Path(named).name, Path(named).read_bytes())
        except OSError as error:
            raise RecipeError(f"plugins: {named}: {error.strerror}") from None
    if named.startswith("qvl.scorers."):
        return _shipped(named)
    points = importlib.metadata.entry_points(group=ENTRY_POINTS, name=named)
    return _package(next(iter(points)).module if points else named)


def _shipped(named: str) -> ShippedCode:
    known = sorted(each.name for each in pkgutil.iter_modules(importlib.import_module(SHIPPED).__path__))
    if named.removeprefix("qvl.scorers.") not in known:
        raise RecipeError(
            f"plugins: there is no {named}; there are {', '.join(f'qvl.scorers.{name}' for name in known)}"
        )
    return ShippedCode(named)


def _package(module: str) -> PackageCode:
    top = module.partition(".")[0]
    if top == "qvl" or top in sys.stdlib_module_names:
        raise RecipeError(
            f"plugins: {module} belongs to {'qvl' if top == 'qvl' else 'Python'}; name a module of your own"
        )
    spec = _spec(top)
    if spec is None or spec.origin is None:
        raise RecipeError(
            f"plugins: {module} is neither a file (NAME.py), nor an entry point of {ENTRY_POINTS}, nor an installed module"
        )
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        return PackageCode(module, ((origin.name, origin.read_bytes()),))
    root = origin.parent
    paths = sorted(path for path in root.rglob("*") if path.is_file() and not set(SKIPPED) & {*path.parts})
    size = sum(path.stat().st_size for path in paths)
    if size > MOST_BYTES:
        raise RecipeError(
            f"plugins: the package {root.name} has {size:,} bytes, more than {MOST_BYTES:,}; put operators into a package "
            "of their own, without data or weights"
        )
    return PackageCode(module, tuple((path.relative_to(root.parent).as_posix(), path.read_bytes()) for path in paths))


def _spec(top: str) -> ModuleSpec | None:
    """Where a top-level module is installed now, whatever this process has imported before."""
    importlib.invalidate_caches()
    specs = (finder.find_spec(top, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    return next((spec for spec in specs if spec is not None), None) if top else None


@lru_cache(maxsize=64)
def _file_module(code: FileCode) -> types.ModuleType:
    module = types.ModuleType(f"qvl_plugin_{code.hash}")
    module.__file__ = code.name
    sys.modules[module.__name__] = module  # dataclasses and pickle look modules up by name
    try:
        _explained(code.name, lambda: exec(compile(code.data, code.name, "exec"), module.__dict__))
    except RecipeError:
        del sys.modules[module.__name__]
        raise
    return module


_imported: dict[str, str] = {}  # top-level package -> hash of the source that this process has imported


_copies: list[
    tempfile.TemporaryDirectory[str]
] = []  # removed when the process ends, because modules may load others late


def _package_module(code: PackageCode) -> types.ModuleType:
    top = code.name.partition(".")[0]
    if _imported.get(top) == code.hash:
        return _explained(code.name, lambda: importlib.import_module(code.name))
    for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
        del sys.modules[name]
    with _found_first([] if _is_installed(code) else [_copy(code)]):
        module = _explained(code.name, lambda: importlib.import_module(code.name))
    _imported[top] = code.hash
    return module


@contextmanager
def _found_first(folders: list[str]) -> Iterator[None]:
    """While a package is imported, its copy is found before anything of its name that is installed."""
    sys.path[:0] = folders
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(folder)


def _is_installed(code: PackageCode) -> bool:
    try:
        return _package(code.name).hash == code.hash
    except RecipeError:
        return False


def _copy(code: PackageCode) -> str:
    """A folder of this process with the files of a package."""
    copy = tempfile.TemporaryDirectory(prefix="qvl-plugin-")
    _copies.append(copy)
    folder = Path(copy.name)
    for path, data in code.files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, data)
    return str(folder)


def _explained(name: str, load: Callable[[], types.ModuleType | None]) -> types.ModuleType:
    """The result of running a plug-in's own module. Raises RecipeError, with the line, for whatever the module raises."""
    try:
        return load() or types.ModuleType("")
    except Exception as error:  # noqa: BLE001 - whatever a user's module raises
        raise RecipeError(f"plugins: {name} cannot be loaded: {explain(error, name)}") from None


def explain(error: BaseException, name: str) -> str:
    """An exception in one line, with the last line of the plug-in's own file that took part in it."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == Path(name).name:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == name:
        line = error.lineno
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}{f' ({Path(name).name}:{line})' if line is not None else ''}"
