"""The errors that a user can act on. Any other exception is a bug, which ``qvl.failures`` reports as such."""

from collections.abc import Sequence
from typing import Self

from qvl.pipeline.base.addresses import without_secrets

SHOWN = 5  # differences that a message names
SIGNALLED = 143
"""Exit status of a run that a signal stopped after it saved a checkpoint."""


class QvlError(Exception):
    """Its message is one line: what is wrong, where, and what to do. The command exits with status 2.

    The addresses in it are without signed queries and passwords, whoever catches, prints or logs it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class RecipeError(QvlError):
    """The recipe cannot be read, or asks for something that does not exist."""


class StaleError(QvlError):
    """The output folder was built from a different recipe or from different inputs."""

    @classmethod
    def of_output(cls, out: object, differences: Sequence[str], kept: str) -> Self:
        """The error of an output that ``--fresh`` brings up to date. ``kept`` names what survives that."""
        more = f" and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        return cls(
            f"{out} was built from a different recipe or from different inputs: {'; '.join(differences[:SHOWN])}{more}. "
            f"Choose another --output, or run with --fresh to discard what the change invalidates ({kept} are kept)"
        )


class ContractError(QvlError):
    """A guarantee of this software is broken: sums do not add up, or a second attempt gave different bytes."""


class DataError(QvlError):
    """The data is damaged beyond what the recipe tolerates, or a file of ours is corrupted."""


class AccessRefused(QvlError):
    """A server refuses an address that carries a token or a password: a run must not go on without its files."""


def first_line(error: BaseException) -> str:
    """The first line of an error of a library, or its type if it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def require_utf8(name: str) -> None:
    """Raise RecipeError for the name of a file that is not UTF-8.

    Such a name fits into no manifest, ledger, index or report, and no Parquet file can be opened by it.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise RecipeError(f"{name}: this name is not UTF-8; rename it") from None
