"""The part of a recipe about cleaning captions."""

from qvl.pipeline.base.recipe_model import RecipeModel


class Clean(RecipeModel):
    """Which steps of cleaning run; both, by default, as in the paper."""

    html: bool = True
    patterns: bool = True
