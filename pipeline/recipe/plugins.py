"""The part of a recipe that names plug-ins: files next to it, entry points or modules, each with parameters."""

from typing import Any

from pydantic import JsonValue, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel


class PluginModule(RecipeModel):
    """A module with operators. ``module`` is a file (``my_ops.py``), an entry point of ``qvl.plugins``, or a module's name.

    ``parameters`` are the arguments of its operators, by the name of the operator: its class in snake_case.
    """

    module: str
    parameters: dict[str, dict[str, JsonValue]] = {}  # noqa: RUF012 - pydantic copies defaults

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, content: Any) -> Any:
        return {"module": content} if isinstance(content, str) else content
