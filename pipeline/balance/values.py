"""What balance reads of a row: the group that it belongs to, its score, and a number that its seed draws."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from qvl.pipeline.base.errors import RecipeError
from qvl.pipeline.duplicates.near import mixed
from qvl.pipeline.duplicates.rules import MIX

DOMAIN, SOURCE = "domain", "source"
COMPUTED_VALUES = {DOMAIN: "url"}
"""Values that are computed from another column where the ledger has no column of that name."""
HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"

Keys = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]


def group_keys(table: pa.Table, per: tuple[str, ...]) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """For each row a key that is equal for rows with equal values in the columns ``per``, and whether one of them is
    null or an empty text.

    Raises RecipeError for a column of lists or structs.
    """
    keys, missing = np.zeros(len(table), np.uint64), np.zeros(len(table), bool)
    for name in per:
        of_values, empty = _value_keys(_values(table, name))
        missing |= empty
        keys = mixed(keys * MIX ^ of_values)
    return keys, missing


def _values(table: pa.Table, name: str) -> pa.Array:
    """A column as one array; the domain of the address of a row where the table has no such column."""
    if name not in table.column_names and name in COMPUTED_VALUES:
        return domains(table[COMPUTED_VALUES[name]].combine_chunks())
    column = table[name].combine_chunks()
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_nested(column.type):
        raise RecipeError(f"balance: {name} has type {column.type}; only single values can be counted")
    return column


def _value_keys(column: pa.Array) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """A hash of each value, and whether there is none: a null or an empty text.

    The values of a dictionary are hashed once; dictionaries of units differ in their codes.
    """
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names = [*_as_stored(column.dictionary).to_pylist(), None]
    hashes = np.array(
        [xxhash.xxh3_64_intdigest(str("" if name is None else name).encode()) for name in names], np.uint64
    )
    empty = np.array([name is None or name == "" for name in names])
    codes = pc.fill_null(column.indices, len(names) - 1).to_numpy().astype(np.int64)
    return hashes[codes], empty[codes]


def _as_stored(values: pa.Array) -> pa.Array:
    """Dates and times as the integers that Arrow stores, because not all of them are dates of Python."""
    kind = values.type
    if not pa.types.is_temporal(kind) or pa.types.is_interval(kind):
        return values
    return values.view(pa.int32() if kind.bit_width == 32 else pa.int64())


def domains(urls: pa.Array) -> pa.Array:
    """The host of each address in lower case, without ``www.``, port, user and password; null where there is none."""
    found = pc.struct_field(pc.extract_regex(urls, HOST), "host").dictionary_encode()
    hosts = pc.replace_substring_regex(pc.utf8_lower(found.dictionary), r"^www\.", "")
    return hosts.take(found.indices)


def scores(table: pa.Table, name: str) -> Floats:
    """The values of a column of numbers, rounded to doubles; minus infinity where there is none.

    Raises RecipeError for another type.
    """
    column = table[name].combine_chunks()
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        raise RecipeError(f"balance: {name} has type {column.type}; `by` needs numbers")
    values = np.array(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    values[np.isnan(values)] = -np.inf
    return values


def draws(seed: int, name: str, unit: str, rows: npt.NDArray[np.int64]) -> Keys:
    """A uniform 64-bit number for each row of a unit: a pure function of the seed, the step's name and the row's id."""
    of_unit = np.uint64(xxhash.xxh3_64_intdigest(f"{seed} {name} {unit}".encode()))
    return mixed(mixed((rows.astype(np.uint64) + np.uint64(1)) * MIX) ^ of_unit)


def uniform(drawn: Keys) -> Floats:
    """Draws as numbers above 0 and below 1."""
    return ((drawn >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
