"""Hive partitions: columns that are not in a file but in the names of its folders (``lang=en/part-0.parquet``).

A folder ``NAME=VALUE`` gives each row of its files the text VALUE in the column NAME; Spark, Hive and DuckDB write and read
files this way. A column that the file itself has takes precedence.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote

PARTITION = re.compile(r"([^/=]+)=([^/]*)/")
NULL = "__HIVE_DEFAULT_PARTITION__"

Partition = dict[str, str | None]


def partition_of(path: str, wanted: Collection[str]) -> Partition:
    """The values of the ``wanted`` columns that the folders of a path name; of two folders with one name the inner one."""
    found = ((unquote(name), unquote(value)) for name, value in PARTITION.findall(path))
    return {name: None if value == NULL else value for name, value in found if name in wanted}
