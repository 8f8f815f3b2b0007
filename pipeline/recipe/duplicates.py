"""The parts of a recipe about rows that are like others, in the dataset or in benchmarks."""

from typing import Annotated, Literal

from pydantic import Field

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.recipe.source import SourceName


class NearDuplicate(RecipeModel):
    """Images that look alike: hashes differ in at most ``radius`` bits, mean colours of the quarters by at most ``tint``.

    Images with less contrast than ``minimum_spread`` (grey levels) are never duplicates: their hashes say too little.
    """

    radius: int = Field(default=3, ge=0, le=4)
    tint: int = Field(default=6, ge=0, le=255)
    minimum_spread: float = Field(default=4.0, ge=0)


class SemanticDuplicate(RecipeModel):
    """Images that show the same thing: the vectors of the scoring model have a cosine of at least ``similarity``.

    Vectors are compared only inside k-means cells (``cells`` of them, by default one per 4,096 rows), trained on a sample
    that ``seed`` determines. A pair whose vectors are in different cells is not found.
    """

    similarity: float = Field(default=0.95, ge=0.5, le=0.999)
    cells: Annotated[int, Field(ge=1, le=65_536)] | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)


class Benchmark(RecipeModel):
    """Images that must not be in the dataset: a list from ``qvl curate hash``, or a folder of images.

    ``radius``: the number of bits in which perceptual hashes may differ; null compares only bytes.
    """

    name: SourceName
    path: str
    radius: Annotated[int, Field(ge=0, le=4)] | None = 3


class Dedup(RecipeModel):
    """Rules for duplicates within and across sources; a rule that is null does not run.

    ``per: [language]`` compares images only among rows whose captions have the same language, so that a picture with an
    English and a Chinese caption keeps both; ``per: []`` compares all rows. By default images are compared per language
    if the recipe's language filters allow more than one language.
    """

    per: tuple[Literal["language"], ...] | None = None
    image: bool = True
    pair: bool = True
    near_duplicate: NearDuplicate | None = None
    semantic_duplicate: SemanticDuplicate | None = None
    repeated_text: Annotated[int, Field(ge=1, lt=2**31)] | None = 10
