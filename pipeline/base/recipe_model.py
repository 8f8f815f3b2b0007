"""The base class of everything that is read from a recipe."""

from pydantic import BaseModel, ConfigDict


class RecipeModel(BaseModel):
    """An immutable model. Unknown keys, NaN and infinity are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
