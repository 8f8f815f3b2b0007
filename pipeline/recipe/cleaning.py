"""What a recipe says about caption cleaning."""

from qvl.pipeline.base.recipe_model import RecipeModel


class Clean(RecipeModel):
    """What cleaning does. Both default to on, as in the paper."""

    html: bool = True
    patterns: bool = True
