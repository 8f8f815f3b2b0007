"""The recipe of a text dataset: YAML, read into frozen models."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.builders.text.chat import Chat
from qvl.pipeline.builders.text.interleaved import Interleaved
from qvl.pipeline.builders.text.plain import PlainText
from qvl.pipeline.builders.text.source import FILES
from qvl.pipeline.recipe.file import RecipeContent, anchored, read_recipe
from qvl.pipeline.recipe.source import SourceName

Source = Annotated[PlainText | Chat | Interleaved, Field(discriminator="kind")]


class TextRecipe(RecipeModel):
    """A dataset called ``name``, built from ``sources``.

    ``exclusion``: a list of benchmark images (written by ``qvl ground exclude`` or ``qvl curate hash``); dialogues and
    documents with one of them are dropped.
    """

    name: SourceName
    sources: tuple[Source, ...] = Field(min_length=1)
    exclusion: str | None = None
    shard_rows: int = Field(default=5_000, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _names_differ(self) -> "TextRecipe":
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have the same name")
        return self


def load_recipe(path: Path) -> TextRecipe:
    """Read a recipe; relative paths start from its folder. Raises RecipeError with one line per mistake."""
    return read_recipe(path, TextRecipe, _anchor_paths, kinds=("text", "chat", "interleaved"))


def _anchor_paths(content: RecipeContent, folder: Path) -> RecipeContent:
    sources = content.get("sources")
    for part in sources if isinstance(sources, list) else []:
        if isinstance(part, dict):
            part.setdefault("image_folder", ".") if part.get("kind") in ("chat", "interleaved") else None
            part |= {key: anchored(part[key], folder) for key in FILES & part.keys()}
    return content | {key: anchored(content[key], folder) for key in ("exclusion",) if key in content}
