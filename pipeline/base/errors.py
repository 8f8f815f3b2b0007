"""The errors that a user can act on. Any other exception is a bug, which ``qvl.failures`` reports as such."""

SIGNALLED = 143
"""Exit status of a run that a signal stopped after it saved a checkpoint."""


class QvlError(Exception):
    """Its message is one line: what is wrong, where, and what to do. The command exits with status 2."""


class RecipeError(QvlError):
    """The recipe cannot be read, or asks for something that does not exist."""


class StaleError(QvlError):
    """The output folder was built from a different recipe or from different inputs."""


class ContractError(QvlError):
    """A guarantee of this software is broken: sums do not add up, or a second attempt gave different bytes."""


class DataError(QvlError):
    """The data is damaged beyond what the recipe tolerates, or a file of ours is corrupted."""
