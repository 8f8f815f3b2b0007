"""The errors that a user can act on. Anything else is a bug and shows its traceback."""

SIGNALLED = 143
"""Exit status of a run that a signal stopped at a checkpoint."""


class QvlError(Exception):
    """One line that says what is wrong, where, and the way out. The command exits with 2."""


class RecipeError(QvlError):
    """The recipe cannot be read or asks for something that does not exist."""


class StaleError(QvlError):
    """The output folder holds the work of another recipe or of other inputs."""


class ContractError(QvlError):
    """The software broke its own promise: sums that do not add up, a second attempt with other bytes."""


class DataError(QvlError):
    """The data is damaged beyond what the recipe tolerates."""
