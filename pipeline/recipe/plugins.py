"""The part of a recipe that names plug-ins: files next to it, entry points or modules, each with parameters."""

from typing import Any

from pydantic import Field, JsonValue, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel


class PluginModule(RecipeModel):
    """A module with operators. ``module`` is a file (``my_ops.py``), an entry point of ``qvl.plugins``, or a module's name.

    ``parameters`` are the arguments of its operators, by the name of the operator: its class in snake_case. ``name`` gives
    the only operator of a module another name, so that a recipe can use it several times. ``folder`` is that of the recipe.
    """

    module: str
    name: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]{0,40}$")
    parameters: dict[str, dict[str, JsonValue]] = {}  # noqa: RUF012 - pydantic copies defaults
    folder: str = Field(default="", exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, content: Any) -> Any:
        return {"module": content} if isinstance(content, str) else content
