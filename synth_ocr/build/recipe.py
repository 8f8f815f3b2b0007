"""The recipe of an OCR dataset: YAML read into frozen models."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.recipe.file import RecipeContent, anchored, read_recipe
from qvl.pipeline.recipe.source import SourceName
from qvl.synth_ocr.html.source import Html
from qvl.synth_ocr.pdf.source import Pdf
from qvl.synth_ocr.scene.source import Scene

PATH_KEYS = ("paths", "backgrounds", "fonts", "texts", "papers", "root", "warcs", "exclude")


class OcrSource(RecipeModel):
    """A named source of pages. ``optional``: if its files or programs are not installed, it is left out with a note."""

    name: SourceName
    optional: bool = False
    read: Annotated[Scene | Pdf | Html, Field(discriminator="kind")]


class OcrRecipe(RecipeModel):
    """The sources of the dataset ``name``. ``text_tokens``: room for the OCR text of a page in the sequence.

    The paper's second stage has 2048 positions, of which an image takes 258 (section 9), so 1790 are left.
    """

    name: SourceName
    seed: int = 0
    text_tokens: int = Field(default=1790, ge=64)
    shard_rows: int = Field(default=1000, ge=1)
    read_back: int = Field(default=0, ge=0)  # pages of each source that Tesseract reads back for the report
    sources: tuple[OcrSource, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> "OcrRecipe":
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have the same name")
        return self


def load_recipe(path: Path) -> OcrRecipe:
    """Read a recipe, with paths relative to its folder. Raises RecipeError with one line per mistake."""
    return read_recipe(path, OcrRecipe, _anchor_paths, kinds=("scene", "pdf", "html"))


def _anchor_paths(content: RecipeContent, folder: Path) -> RecipeContent:
    result: RecipeContent = _anchor_node(content, folder)
    return result


def _anchor_node(node: Any, folder: Path) -> Any:
    """The node with every path below it made absolute, at any depth."""
    if isinstance(node, list):
        return [_anchor_node(each, folder) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: anchored(value, folder) if key in PATH_KEYS and _plain(value) else _anchor_node(value, folder)
        for key, value in node.items()
    }


def _plain(value: Any) -> bool:
    """Whether a value is a path or a list of paths, rather than a list of mappings that contain paths."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))
