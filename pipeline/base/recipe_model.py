"""The base of everything that is read from a recipe."""

from pydantic import BaseModel, ConfigDict


class RecipeModel(BaseModel):
    """Immutable; an unknown key is an error, and so is a number that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
