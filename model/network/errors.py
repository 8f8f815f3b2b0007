"""The only error of this package that a user can act on."""


class ModelError(ValueError):
    """Wrong weights, configuration or input. The message says what is wrong, where, and what to do about it."""
