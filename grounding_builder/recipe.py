"""The recipe of a grounding dataset: sources, benchmarks that must not leak, shards."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from grounding_builder.benchmarks import Exclude
from grounding_builder.detection import Detection
from grounding_builder.drafts import FILES
from grounding_builder.grit import Grit
from grounding_builder.refcoco import RefCoco
from grounding_builder.visual_genome import VisualGenome
from grounding_builder.vqa import Vqa
from pipeline.frozen import Frozen
from pipeline.recipe_file import read_recipe

SourceSpec = Annotated[Grit | VisualGenome | RefCoco | Detection | Vqa, Field(discriminator="kind")]
KINDS = ("grit", "visual_genome", "refcoco", "detection", "vqa")


class Pack(Frozen):
    """Shards of ``shard_rows`` samples in an order fixed by ``seed``."""

    shard_rows: int = Field(default=5_000, ge=1)
    seed: int = 0


class GroundingRecipe(Frozen):
    """A dataset called ``name``. Without ``exclude`` nothing is held back: then ``leaks: allowed`` must say so."""

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
                "exclude.benchmarks is empty: evaluation images would be trained on (leaks: allowed says yes)"
            )
        return self


def load_recipe(path: Path) -> GroundingRecipe:
    """Read a recipe; relative paths count from its folder. Raises RecipeError in one line per mistake."""
    return read_recipe(path, GroundingRecipe, _anchored, KINDS)


def _anchored(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same with every path absolute."""

    def anchor(value: Any) -> Any:
        if isinstance(value, list):
            return [anchor(each) for each in value]
        return str(folder / value) if isinstance(value, str) and "://" not in value else value

    exclude = content.get("exclude")
    benchmarks = exclude.get("benchmarks") if isinstance(exclude, dict) else None
    for part in [*(content.get("sources") or []), *(benchmarks or [])]:
        for key in FILES & set(part if isinstance(part, dict) else ()):
            part[key] = anchor(part[key])
    return content
