"""From glob patterns to units: sorted, named below the fixed folder of their pattern, and each file only once.

A pattern may contain ``*``, ``**``, ``?``, ``[ab]`` and, as is usual for WebDataset, ``{00000..00099}`` and ``{a,b}``.
A wildcard in square brackets (``[*]``) matches itself. fsspec's glob does the matching; it has no braces. The signed query
of an address belongs to each of its files, but neither to the pattern nor to a name.
"""

import math
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fsspec.utils import glob_translate

from qvl.pipeline.base.addresses import Address, public_address
from qvl.pipeline.base.errors import AccessRefused, RecipeError
from qvl.pipeline.sources.base import Unit
from qvl.pipeline.storage.paths import AnyPath
from qvl.pipeline.storage.reader import Storage
from qvl.pipeline.storage.stores import map_in_threads

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
    """The folder before the first wildcard of a pattern, without escapes and without the secret of an address."""
    return ESCAPED.sub(r"\1", _fixed(public_address(pattern)))


def _named(pattern: str) -> str:
    """The path that a pattern without wildcards names."""
    address = Address.of(pattern)
    return address.at(ESCAPED.sub(r"\1", address.public))


def _fixed(pattern: str) -> str:
    """The folder before the first wildcard of a pattern, as the pattern spells it."""
    starts = (match.start() for match in WILDCARD.finditer(pattern) if match[1])
    first = next(starts, None)
    return posixpath.dirname(pattern if first is None else pattern[:first] + "x")


def expanded(pattern: str) -> Iterator[str]:
    """The pattern with its braces filled in each possible way, in order. Braces without a comma or range are kept."""
    address = Address.of(pattern)
    yield from (address.at(filled) for filled in _filled(address.public))


def _filled(pattern: str) -> Iterator[str]:
    match = BRACES.search(pattern)
    if match is None:
        yield pattern
        return
    for filling in _numbers(pattern, match[2], match[3]) if match[2] else match[1].split(","):
        yield from _filled(pattern[: match.start()] + filling + pattern[match.end() :])


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

    Raises RecipeError for a pattern that matches nothing, for a folder, for two files that would share a name, and for two
    addresses that differ only in their secrets: the queries may name two files, or be the old and the new token of one.
    """
    units: dict[str, Unit] = {}
    seen: dict[str, Address] = {}
    for pattern in patterns:
        root = storage.canonical(fixed_folder(pattern)).rstrip("/") + "/"
        for path in _matching_files(pattern, storage):
            identity, address = storage.identity(path), Address.of(path)
            before = seen.setdefault(identity, address)
            if (before.user, before.query) != (address.user, address.query):
                raise RecipeError(
                    f"{identity}: is named twice with different queries or passwords, which are no part of a file's name; "
                    "name it once"
                )
            if before is not address:
                continue
            public = address.public
            name = public.removeprefix(root) if public.startswith(root) else posixpath.basename(public)
            if name in units:
                raise RecipeError(f"{path}: another file of this source is also named {name}; give them two sources")
            units[name] = Unit(source="", name=name, path=path)
    return [units[name] for name in sorted(units)]


def _matching_files(pattern: str, storage: Storage) -> list[str]:
    """The files that a pattern names. Each way to fill its braces must match: a missing shard is a mistake."""
    public = public_address(pattern)
    if math.prod(_ways(public, match) for match in BRACES.finditer(public)) > MAX_NUMBERS:
        raise RecipeError(f"{pattern}: names more than {MAX_NUMBERS:,} files")
    each = dict.fromkeys(expanded(pattern))
    if len(each) > 1 and not any(match[1] for match in WILDCARD.finditer(public_address(next(iter(each))))):
        return _existing_files(pattern, [_named(path) for path in each], storage)
    found: dict[str, None] = {}
    for one in each:
        paths, named = storage.glob(one), _named(one)
        if not paths:
            raise _missing(named)
        if len(paths) == 1 and storage.canonical(named) == paths[0] and storage.is_folder(paths[0]):
            shown = public_address(named).rstrip("/")
            raise RecipeError(f"{shown} is a folder; write {shown}/*.tar, or another pattern for its files")
        found |= dict.fromkeys(paths)
    return list(found)


def _existing_files(pattern: str, paths: list[str], storage: Storage) -> list[str]:
    """The given paths, which must all exist. Lists the folder once instead of asking for each of many thousand files."""
    try:
        present = set(storage.glob(_any_filling(pattern)))
    except AccessRefused:  # a token that opens files but does not list their folder
        present = set()
    spelled = [storage.canonical(path) for path in paths]
    unlisted = [path for path, spelling in zip(paths, spelled, strict=True) if spelling not in present]
    for path, exists in zip(unlisted, map_in_threads(storage.exists, unlisted), strict=True):
        if not exists:
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
    address, count = Address.of(pattern), 1
    filled = address.public
    while count:
        filled, count = BRACES.subn(FILLED, filled)
    return address.at(RUN_OF_STARS.sub("*", filled))


def owned(units: list[Unit], source: str) -> list[Unit]:
    """The units with the name of their source."""
    return [replace(unit, source=source) for unit in units]
