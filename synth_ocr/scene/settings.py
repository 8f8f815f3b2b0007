"""All settings of a scene. The defaults are SynthDoG's (clovaai/donut, synthdog/config_en.yaml; reference section 6)."""

from typing import Annotated, Literal

from pydantic import Field

from qvl.pipeline.base.recipe_model import RecipeModel

Range = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]
LayoutName = Literal["grid_stack", "columns", "table", "sign", "vertical", "form"]

STRAIGHT: Range = (1.0, 1.0)
BENT: Range = (0.75, 1.0)
# weight, then the shares of their length that the top, right, bottom and left edges keep
PERSPECTIVES: tuple[tuple[float, tuple[Range, Range, Range, Range]], ...] = (
    (750, (BENT, BENT, BENT, BENT)),
    (50, (BENT, STRAIGHT, BENT, STRAIGHT)),
    (50, (STRAIGHT, BENT, STRAIGHT, BENT)),
    (25, (BENT, STRAIGHT, STRAIGHT, STRAIGHT)),
    (25, (STRAIGHT, BENT, STRAIGHT, STRAIGHT)),
    (25, (STRAIGHT, STRAIGHT, BENT, STRAIGHT)),
    (25, (STRAIGHT, STRAIGHT, STRAIGHT, BENT)),
    (50, (STRAIGHT, STRAIGHT, STRAIGHT, STRAIGHT)),
)


class Canvas(RecipeModel):
    """The image and the document on it. Sizes are in pixels, aspect ratios are the long side divided by the short one."""

    quality: tuple[int, int] = (50, 95)
    landscape: Share = 0.5
    short_size: tuple[int, int] = (720, 1024)
    aspect_ratio: Range = (1.0, 2.0)
    background_blur: Range = (0.0, 10.0)
    fullscreen: Share = 0.5
    document_landscape: Share = 0.5
    document_short_size: tuple[int, int] = (480, 1024)
    document_aspect_ratio: Range = (1.0, 2.0)
    paper_alpha: Range = (0.0, 0.2)


class TextLayout(RecipeModel):
    """Where lines go. Lengths are shares of the document's short side. ``kinds``: the weight of each kind of layout."""

    kinds: dict[LayoutName, float] = Field(default={"grid_stack": 1.0}, min_length=1)
    margin: Range = (0.0, 0.1)
    text_scale: Range = (0.0334, 0.1)
    max_row: int = 10
    max_col: int = 3
    fill: Range = (0.5, 1.0)
    full: Share = 0.1
    align: tuple[Literal["left", "right", "center"], ...] = ("left", "right", "center")
    stack_spacing: Range = (0.0334, 0.0334)
    stack_fill: Range = (0.5, 1.0)
    stack_full: Share = 0.1
    textbox_fill: Range = (0.5, 1.0)
    textbox_color: Share = 0.2
    content_color: Share = 0.2
    gray: tuple[int, int] = (0, 64)


class Effects(RecipeModel):
    """The document's effects first (elastic, noise, perspective), then those of the whole image."""

    elastic_alpha: Range = (0.0, 1.0)
    elastic_sigma: Range = (0.0, 0.5)
    noise_scale: Range = (0.0, 8.0)
    perspective: tuple[tuple[float, tuple[Range, Range, Range, Range]], ...] = PERSPECTIVES
    rgb: Share = 0.2
    rgb_alpha: Range = (0.0, 0.2)
    shadow_intensity: Range = (0.0, 160.0)
    shadow_amount: Range = (0.0, 1.0)
    shadow_smoothing: Range = (0.5, 1.0)
    contrast_alpha: Range = (1.0, 1.5)
    brightness_beta: Range = (-48.0, 0.0)
    motion_blur: Share = 0.5
    motion_blur_k: tuple[int, int] = (3, 5)
    gaussian_blur: Range = (0.0, 1.5)


class Corpus(RecipeModel):
    """Running text: plain text files or a text column of parquet files. ``weight``: relative to the other corpora."""

    texts: tuple[str, ...] = Field(min_length=1)
    column: str = "text"
    weight: float = Field(default=1.0, gt=0)
    maximum_bytes: int = Field(default=64_000_000, ge=1)  # read from each file


class FontChoice(RecipeModel):
    """Font files by pattern, or the files that fontconfig names for a family. ``faces``: indices within a collection.

    Without ``faces``, a collection's simplified Chinese face is used if its name shows one, else its first face.
    """

    fonts: tuple[str, ...] = ()
    family: str | None = None
    faces: tuple[int, ...] | None = None
