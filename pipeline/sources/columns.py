"""Which columns of a table hold the caption, the url, the scores: presets for public data sets, each overridable.

The layouts are those published by LAION, kakaobrain/coyo-dataset, mlfoundations/datacomp, CC3M, CC12M, SBU, COCO.
"""

from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.sources.carried import declared_type

Column = str | int
Preset = Literal["img2dataset", "laion", "laion_coco", "coyo", "datacomp", "cc3m", "cc12m", "sbu", "coco"]

MEASURES = ("clip", "nsfw", "watermark", "aesthetic")
CaptionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
CarriedName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,60}$")]


class CarriedColumn(RecipeModel):
    """A column that is carried along, and its Arrow type where the file does not say it or says another one."""

    column: Column
    type: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_a_name(cls, content: Any) -> Any:
        return content if isinstance(content, dict | CarriedColumn) else {"column": content}

    @model_serializer
    def _as_written(self) -> Column | dict[str, Column]:
        return self.column if self.type is None else {"column": self.column, "type": self.type}

    @field_validator("type")
    @classmethod
    def _is_known(cls, text: str | None) -> str | None:
        if text is not None:
            declared_type(text)
        return text


class Columns(RecipeModel):
    """Names of the columns that are read, or positions in a file without header; None where a source has no such column.

    ``a.b`` is the field ``b`` of the column ``a``. ``image`` and ``path`` may name a column of Hugging Face images, whose
    cells have bytes, the path of a file, or both. ``extra`` maps names to further columns, which are carried unchanged into
    the ledger and the samples. ``captions`` names several texts of a row instead of ``caption``; a column may hold a list of
    texts. In a tar they are keys of the sample's JSON.
    """

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
    extra: dict[CarriedName, CarriedColumn] = Field(default_factory=dict)
    captions: dict[CaptionName, Column] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_empty_mappings(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """``extra`` and ``captions`` are left out where they are empty: version 0.1 did not know them."""
        content: dict[str, Any] = usual(self)
        for name in ("extra", "captions"):
            if not content.get(name):
                content.pop(name, None)
        return content

    @model_validator(mode="after")
    def _one_kind_of_captions(self) -> "Columns":
        if self.captions and (self.caption is not None or self.caption_from_record):
            raise ValueError("name either one `caption` or several `captions`")
        return self

    @field_validator("caption", "url", "key", "image", "path", *MEASURES, mode="before")
    @classmethod
    def _one_column(cls, value: object) -> object:
        if isinstance(value, list | tuple | dict):
            raise ValueError("name one column, by its name or its position")
        return value

    def measures(self) -> list[tuple[str, Column]]:
        """Names and columns of the values that the source provides already measured."""
        chosen = ((name, getattr(self, name)) for name in MEASURES)
        return [(name, column) for name, column in chosen if column is not None]

    def declared(self) -> pa.Schema:
        """The carried columns with their declared types; text where none is declared."""
        return pa.schema((name, declared_type(column.type or "string")) for name, column in self.extra.items())

    def named(self) -> list[Column]:
        """Every column that is read."""
        return list(dict.fromkeys([*self.used(), *(carried.column for carried in self.extra.values())]))

    def used(self) -> list[Column]:
        """Every column whose values qvl itself uses."""
        others = ("caption_from_record", "extra", "captions")
        chosen = (getattr(self, name) for name in type(self).model_fields if name not in others)
        return list(dict.fromkeys([*(column for column in chosen if column is not None), *self.captions.values()]))

    def over(self, preset: "Columns") -> "Columns":
        """This map, completed by the preset."""
        usual = preset.model_dump(exclude={"caption", "caption_from_record"} if self.captions else None)
        return Columns(**{**usual, **self.model_dump(exclude_unset=True)})


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
