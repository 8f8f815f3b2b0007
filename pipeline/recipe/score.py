"""What a recipe says about scoring: which measures need pixels, and with which models."""

from typing import Literal

from pydantic import Field

from qvl.pipeline.base.recipe_model import RecipeModel


class PerceptualHash(RecipeModel):
    """The 64-bit hash; nothing to set: hashes of different kinds cannot be compared."""


def is_weight_file(name: str) -> bool:
    """Weights in a file, not one of open_clip's names."""
    return "/" in name or name.endswith((".pt", ".pth", ".bin", ".safetensors"))


class ClipModel(RecipeModel):
    """A dual encoder of open_clip: ``model`` is its architecture, ``pretrained`` one of its names or a file of weights."""

    model: str
    pretrained: str = Field(min_length=1)
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def is_file(self) -> bool:
        return is_weight_file(self.pretrained)


class Clip(RecipeModel):
    """Scores of image and caption: Chinese captions by ``chinese`` where it is given, everything else by ``english``.

    ``embeddings`` also stores the image vectors (fp16) in a parquet file of their own. ``compile`` builds faster kernels
    first (minutes), worth it for hours of work.
    """

    english: ClipModel
    chinese: ClipModel | None = None
    embeddings: bool = False
    batch: int = Field(default=256, ge=1)
    compile: bool = False

    def models(self) -> dict[str, ClipModel]:
        """Model by the name of its column."""
        chosen = {"clip_english": self.english, "clip_chinese": self.chinese}
        return {name: model for name, model in chosen.items() if model is not None}


class Score(RecipeModel):
    """Stage score: ``phash`` and ``clip`` from one decode of each image.

    Rows that scan lost are never scored; rows that a filter on scanned columns drops are scored only with ``always``.
    """

    phash: PerceptualHash | None = None
    clip: Clip | None = None
    always: bool = False

    def measured(self) -> frozenset[str]:
        """Columns that come from here and not from scan."""
        return frozenset(("clip",)) if self.clip else frozenset()
