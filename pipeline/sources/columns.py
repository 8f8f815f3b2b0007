"""Which columns of a table hold the caption, the url, the scores: presets for public data sets, each overridable.

The layouts are those published by LAION, kakaobrain/coyo-dataset, mlfoundations/datacomp, CC3M, CC12M, SBU, COCO.
"""

from typing import Literal

from qvl.pipeline.base.recipe_model import RecipeModel

Column = str | int
Preset = Literal["img2dataset", "laion", "laion_coco", "coyo", "datacomp", "cc3m", "cc12m", "sbu", "coco"]

MEASURES = ("clip", "nsfw", "watermark", "aesthetic")


class Columns(RecipeModel):
    """Names of the columns that are read, or positions in a file without header; None where a source has no such column."""

    caption: Column | None = None
    url: Column | None = None
    key: Column | None = None
    image: Column | None = None
    path: Column | None = None
    clip: Column | None = None
    nsfw: Column | None = None
    watermark: Column | None = None
    aesthetic: Column | None = None
    caption_from_record: bool = False  # in a tar: use the caption column even if there is a .txt

    def measures(self) -> list[tuple[str, Column]]:
        """Names and columns of the values that the source provides already measured."""
        chosen = ((name, getattr(self, name)) for name in MEASURES)
        return [(name, column) for name, column in chosen if column is not None]

    def named(self) -> list[Column]:
        """Every column that is read."""
        chosen = (getattr(self, name) for name in type(self).model_fields if name != "caption_from_record")
        return [column for column in chosen if column is not None]

    def over(self, preset: "Columns") -> "Columns":
        """This map, completed by the preset."""
        return Columns(**{**preset.model_dump(), **self.model_dump(exclude_unset=True)})


PRESETS: dict[Preset, Columns] = {
    "img2dataset": Columns(caption="caption", url="url", key="key", image="jpg"),
    "laion": Columns(caption="TEXT", url="URL", clip="similarity", nsfw="punsafe", watermark="pwatermark"),
    # TEXT is the original alt text; the synthetic caption to train on is top_caption
    "laion_coco": Columns(
        caption="top_caption",
        url="URL",
        clip="similarity",
        nsfw="punsafe",
        watermark="pwatermark",
        caption_from_record=True,
    ),
    "coyo": Columns(
        caption="text",
        url="url",
        key="id",
        clip="clip_similarity_vitb32",
        nsfw="nsfw_score_opennsfw2",
        watermark="watermark_score",
        aesthetic="aesthetic_score_laion_v2",
    ),
    "datacomp": Columns(caption="text", url="url", key="uid", clip="clip_l14_similarity_score"),
    # CC3M is caption TAB url, CC12M is url TAB caption; neither has a header
    "cc3m": Columns(caption=0, url=1),
    "cc12m": Columns(caption=1, url=0),
    "sbu": Columns(caption="captions", url="image_urls"),
    "coco": Columns(caption="caption", url="coco_url", path="file_name"),
}
