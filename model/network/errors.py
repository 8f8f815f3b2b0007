"""The one error of this package that a user can act on."""


class ModelError(ValueError):
    """Wrong weights, configuration or input: one message that says what, where, and the way out."""
