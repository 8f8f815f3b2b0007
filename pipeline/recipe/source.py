"""A source in a recipe: how to read it, and its own settings."""

from typing import Annotated

from pydantic import Field, JsonValue

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.filters import Filters
from qvl.pipeline.recipe.caption import Caption
from qvl.pipeline.sources.base import Source
from qvl.pipeline.sources.bounded_parquet import MAX_EXPANSION
from qvl.pipeline.sources.table import Table
from qvl.pipeline.sources.webdataset import MAX_UNACCOUNTED_ROWS, WebDataset

# settings of a source that version 0.1 did not have, with their defaults: outputs of that version stay valid
ADDED_SETTINGS = {
    **{"max_expansion": MAX_EXPANSION, "max_unaccounted_rows": MAX_UNACCOUNTED_ROWS},
    **dict.fromkeys(("delimiter", "quote", "encoding", "members"), None),
    "follow_links": False,
}
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class Table2(RecipeModel):
    """The row of the paper's Table 2 for a source: the number of rows before and after cleaning, as published."""

    dataset: str
    original: int
    cleaned: int


class SourceSpec(RecipeModel):
    """A named source: how to read it, and its own settings.

    ``priority``: of two equal rows, the one from the source with the higher priority is kept. ``academic``: several
    captions of one image are reduced to the longest (paper, appendix A). ``caption`` chooses among the texts of a row if the
    source has several; by default as the recipe's.
    """

    name: SourceName
    read: Annotated[WebDataset | Table, Field(discriminator="kind")]
    priority: int = Field(default=0, ge=0, le=65_535)
    academic: bool = False
    filters: Filters = Filters()
    caption: Caption | None = None
    table2: Table2 | None = None


def reading(source: SourceSpec) -> dict[str, JsonValue]:
    """The settings of a source that affect its columns, without paths: the files have fingerprints of their own.

    Settings of ADDED_SETTINGS are left out while they have their default.
    """
    settings = source.read.model_dump(mode="json", exclude={"paths", "image_folder"})
    return {name: value for name, value in settings.items() if (name, value) not in ADDED_SETTINGS.items()}


def reader(source: SourceSpec) -> Source:
    """The source's reader, as the type that the stages use."""
    return source.read
