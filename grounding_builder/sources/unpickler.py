"""Read untrusted pickles: plain containers and numbers are loaded, anything that would run code is refused.

The RefCOCO files are Python 2 pickles of lists, dicts, strings and numbers. Nothing in them needs an import, so every
import is refused, whatever its name.
"""

import io
import pickle
from typing import Any, NoReturn

from qvl.pipeline.base.address_space import limited_address_space
from qvl.pipeline.base.errors import DataError

LEAST_MEMORY = 1 << 30
MEMORY_FACTOR = 60  # bytes for each byte of a pickle; RefCOCO's files take about 25


class PlainUnpickler(pickle.Unpickler):
    """Loads only what needs no import: None, numbers, strings, lists, tuples, dicts, sets."""

    def find_class(self, module: str, name: str, /) -> NoReturn:
        raise DataError(f"the pickle imports {module}.{name}, which is refused: annotations need no code")

    def persistent_load(self, pid: Any, /) -> NoReturn:
        raise DataError("the pickle refers to objects outside itself, which is refused")


def load_plain(data: bytes) -> Any:
    """The content of a pickle. Raises DataError if it would run code, is corrupted, or takes too much memory.

    Five bytes can ask for a table of 64 GiB, so the memory of the process is limited while it loads.
    """
    try:
        with limited_address_space(LEAST_MEMORY + MEMORY_FACTOR * len(data)):
            return PlainUnpickler(io.BytesIO(data), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, ValueError, UnicodeDecodeError, MemoryError, TypeError,
            AttributeError, OverflowError, RecursionError) as error:  # fmt: skip
        raise DataError(f"the pickle is truncated or corrupted: {type(error).__name__} {error}") from None
