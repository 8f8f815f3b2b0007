"""The part of a recipe about scoring: which values are computed from pixels, and with which models."""

from typing import Literal

from pydantic import Field

from qvl.pipeline.base.recipe_model import RecipeModel


class PerceptualHash(RecipeModel):
    """The 64-bit hash. It has no settings, because hashes of different kinds cannot be compared."""


def is_weight_file(name: str) -> bool:
    """Whether this names a file of weights and not one of open_clip's pretrained models."""
    return "/" in name or name.endswith((".pt", ".pth", ".bin", ".safetensors"))


class ClipModel(RecipeModel):
    """A dual encoder of open_clip: ``model`` is an architecture, ``pretrained`` the name or the file of its weights."""

    model: str
    pretrained: str = Field(min_length=1)
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def is_file(self) -> bool:
        return is_weight_file(self.pretrained)


class Clip(RecipeModel):
    """Scores of image and caption: of Chinese captions with ``chinese`` if it is set, of all others with ``english``.

    ``embeddings`` also stores the image vectors (fp16) in a Parquet file of their own. ``compile`` first compiles faster
    kernels, which takes minutes and pays off in runs of hours.
    """

    english: ClipModel
    chinese: ClipModel | None = None
    embeddings: bool = False
    batch: int = Field(default=256, ge=1)
    compile: bool = False

    def models(self) -> dict[str, ClipModel]:
        """The models, by the name of their column."""
        chosen = {"clip_english": self.english, "clip_chinese": self.chinese}
        return {name: model for name, model in chosen.items() if model is not None}


class Score(RecipeModel):
    """Stage score: ``phash``, ``clip`` and the scorers among the plug-ins, from one decode of each image.

    Rows that scan could not read are never scored. Rows that a filter on scanned columns drops are scored only with
    ``always``.
    """

    phash: PerceptualHash | None = None
    clip: Clip | None = None
    always: bool = False
    by_plugins: tuple[str, ...] = Field(default=(), exclude=True, repr=False)  # set when the plug-ins are loaded

    def measured(self) -> frozenset[str]:
        """The columns that scoring measures instead of scan."""
        hashed = ("phash", "phash_tint", "phash_spread") if self.phash else ()
        return frozenset((*self.by_plugins, *hashed, *(("clip", *self.clip.models()) if self.clip else ())))
