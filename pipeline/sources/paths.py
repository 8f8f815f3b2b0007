"""From glob patterns to units: sorted, named below the fixed folder of their pattern, and each file only once.

A pattern may contain ``*``, ``**``, ``?``, ``[ab]`` and, as is usual for WebDataset, ``{00000..00099}`` and ``{a,b}``.
A wildcard in square brackets (``[*]``) matches itself. fsspec's glob does the matching; it has no braces.
"""

import math
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fsspec.utils import glob_translate

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage

ESCAPED = re.compile(r"\[([*?\[{])\]")
WILDCARD = re.compile(r"\[[*?\[{]\]|([*?\[{])")
BRACES = re.compile(r"(?<!\[)\{([^{}]*,[^{}]*|(\d+)\.\.(\d+))\}")
FILLED = "\0"  # in no name of a file
RUN_OF_STARS = re.compile(rf"\*?{FILLED}[{FILLED}*]*")
MAX_NUMBERS = 10_000_000


def escaped(folder: str) -> str:
    """A folder's name as a pattern that matches only this folder."""
    return re.sub(r"([*?\[{])", r"[\1]", folder)


def fixed_folder(pattern: str) -> str:
    """The folder before the first wildcard of a pattern, without escapes."""
    return ESCAPED.sub(r"\1", _fixed(pattern))


def _fixed(pattern: str) -> str:
    """The folder before the first wildcard of a pattern, as the pattern spells it."""
    starts = (match.start() for match in WILDCARD.finditer(pattern) if match[1])
    first = next(starts, None)
    return posixpath.dirname(pattern if first is None else pattern[:first] + "x")


def expanded(pattern: str) -> Iterator[str]:
    """The pattern with its braces filled in each possible way, in order. Braces without a comma or range are kept."""
    match = BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    for filling in _numbers(pattern, match[2], match[3]) if match[2] else match[1].split(","):
        yield from expanded(pattern[: match.start()] + filling + pattern[match.end() :])


def _ways(pattern: str, match: re.Match[str]) -> int:
    """In how many ways a pair of braces can be filled."""
    return len(_numbers(pattern, match[2], match[3])) if match[2] else match[1].count(",") + 1


def _numbers(pattern: str, first: str, last: str) -> list[str]:
    """The numbers from first to last, both included; padded to equal width if one of them begins with a zero."""
    start, end = int(first), int(last)
    if abs(end - start) >= MAX_NUMBERS:
        raise RecipeError(f"{pattern}: a range of more than {MAX_NUMBERS:,} numbers")
    padded = any(digits.startswith("0") and len(digits) > 1 for digits in (first, last))
    width = max(len(first), len(last)) if padded else 0
    step = 1 if end >= start else -1
    return [f"{number:0{width}d}" for number in range(start, end + step, step)]


def find_units(patterns: tuple[str, ...], storage: Storage) -> list[Unit]:
    """Units of all patterns, still without the name of their source. A file that two patterns match is one unit.

    Raises RecipeError for a pattern that matches nothing, for a folder, and for two files that would share a name.
    """
    units: dict[str, Unit] = {}
    seen: set[str] = set()
    for pattern in patterns:
        root = storage.canonical(fixed_folder(pattern)).rstrip("/") + "/"
        for path in _matching_files(pattern, storage):
            identity = storage.identity(path)
            if identity in seen:
                continue
            seen.add(identity)
            name = path.removeprefix(root) if path.startswith(root) else posixpath.basename(path)
            if name in units:
                raise RecipeError(f"{path}: another file of this source is also named {name}; give them two sources")
            units[name] = Unit(source="", name=name, path=path)
    return [units[name] for name in sorted(units)]


def _matching_files(pattern: str, storage: Storage) -> list[str]:
    """The files that a pattern names. Each way to fill its braces must match: a missing shard is a mistake."""
    if math.prod(_ways(pattern, match) for match in BRACES.finditer(pattern)) > MAX_NUMBERS:
        raise RecipeError(f"{pattern}: names more than {MAX_NUMBERS:,} files")
    each = dict.fromkeys(expanded(pattern))
    if len(each) > 1 and not any(match[1] for match in WILDCARD.finditer(next(iter(each)))):
        return _existing_files(pattern, [ESCAPED.sub(r"\1", path) for path in each], storage)
    found: dict[str, None] = {}
    for one in each:
        paths = storage.glob(one)
        if not paths:
            raise _missing(ESCAPED.sub(r"\1", one))
        if len(paths) == 1 and storage.canonical(ESCAPED.sub(r"\1", one)) == paths[0] and storage.is_folder(paths[0]):
            shown = ESCAPED.sub(r"\1", one).rstrip("/")
            raise RecipeError(f"{shown} is a folder; write {shown}/*.tar, or another pattern for its files")
        found |= dict.fromkeys(paths)
    return list(found)


def _existing_files(pattern: str, paths: list[str], storage: Storage) -> list[str]:
    """The given paths, which must all exist. Lists the folder once instead of asking for each of many thousand files."""
    present = set(storage.glob(_any_filling(pattern)))
    spelled = [storage.canonical(path) for path in paths]
    for path, spelling in zip(paths, spelled, strict=True):
        if spelling not in present and not storage.exists(path):
            raise _missing(path)
    return spelled


def _missing(path: str) -> RecipeError:
    return RecipeError(f"{path}: no such file; paths are relative to the recipe's folder")


def matches(pattern: str, path: AnyPath, storage: Storage) -> bool:
    """Whether a pattern would match ``path`` if that file existed. A local ``path`` is absolute with links resolved.

    Raises RecipeError for a pattern that means nothing.
    """
    try:
        return _matches(pattern, path, storage)
    except (ValueError, re.error) as error:
        raise RecipeError(f"{pattern}: not a pattern: {error}") from None


def _matches(pattern: str, path: AnyPath, storage: Storage) -> bool:
    if storage.is_local(pattern) != isinstance(path, Path):
        return False
    whole = storage.canonical(_any_filling(pattern))
    if not isinstance(path, Path):
        return re.match(glob_translate(whole), path.url) is not None
    folder = _fixed(whole)
    root = escaped(str(Path(ESCAPED.sub(r"\1", folder)).resolve())).rstrip("/")
    return re.match(glob_translate(f"{root}/{whole[len(folder) :].lstrip('/')}"), str(path)) is not None


def _any_filling(pattern: str) -> str:
    """The pattern with a star in place of each pair of braces; stars that meet are one."""
    count = 1
    while count:
        pattern, count = BRACES.subn(FILLED, pattern)
    return RUN_OF_STARS.sub("*", pattern)


def owned(units: list[Unit], source: str) -> list[Unit]:
    """The units with the name of their source."""
    return [replace(unit, source=source) for unit in units]
