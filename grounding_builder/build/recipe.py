"""The recipe of a grounding dataset: its sources, the benchmarks that must not leak, its shards."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from qvl.grounding_builder.build.benchmarks import Exclude
from qvl.grounding_builder.drafts.drafts import FILES
from qvl.grounding_builder.sources.detection import Detection
from qvl.grounding_builder.sources.grit import Grit
from qvl.grounding_builder.sources.refcoco import RefCoco
from qvl.grounding_builder.sources.visual_genome import VisualGenome
from qvl.grounding_builder.sources.vqa import Vqa
from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.recipe.file import RecipeContent, anchored, read_recipe

SourceSpec = Annotated[Grit | VisualGenome | RefCoco | Detection | Vqa, Field(discriminator="kind")]
KINDS = ("grit", "visual_genome", "refcoco", "detection", "vqa")


class Pack(RecipeModel):
    """Shards of ``shard_rows`` samples, in an order determined by ``seed``."""

    shard_rows: int = Field(default=5_000, ge=1)
    seed: int = 0


class GroundingRecipe(RecipeModel):
    """A dataset called ``name``. Without ``exclude`` no image is held back, which ``leaks: allowed`` must confirm."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
    sources: tuple[SourceSpec, ...] = Field(min_length=1)
    exclude: Exclude = Exclude()
    leaks: Annotated[str, Field(pattern="^(allowed|refused)$")] = "refused"
    pack: Pack = Pack()

    @model_validator(mode="after")
    def _consistent(self) -> "GroundingRecipe":
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise ValueError("two sources have the same name")
        if self.leaks == "refused" and not self.exclude.benchmarks:
            raise ValueError(
                "exclude.benchmarks is empty: evaluation images would be trained on (set leaks: allowed to accept this)"
            )
        return self


def load_recipe(path: Path) -> GroundingRecipe:
    """Read a recipe; relative paths start from its folder. Raises RecipeError with one line per mistake."""
    return read_recipe(path, GroundingRecipe, _anchor_paths, KINDS)


def _anchor_paths(content: RecipeContent, folder: Path) -> RecipeContent:
    exclude = content.get("exclude")
    benchmarks = exclude.get("benchmarks") if isinstance(exclude, dict) else None
    for part in [part for parts in (content.get("sources"), benchmarks) if isinstance(parts, list) for part in parts]:
        for key in FILES & set(part if isinstance(part, dict) else ()):
            part[key] = anchored(part[key], folder)
    return content
