"""The filters, one file each, and the part of a recipe that configures them."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.filters.animated import Animated
from qvl.pipeline.filters.aspect_ratio import AspectRatio
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.filters.characters import Characters
from qvl.pipeline.filters.clip import Clip
from qvl.pipeline.filters.column import ColumnFilter
from qvl.pipeline.filters.emoji import Emoji
from qvl.pipeline.filters.image_bytes import ImageBytes
from qvl.pipeline.filters.image_format import ImageFormat
from qvl.pipeline.filters.image_mode import ImageMode
from qvl.pipeline.filters.image_pixels import ImagePixels
from qvl.pipeline.filters.image_size import ImageSize
from qvl.pipeline.filters.language import Language
from qvl.pipeline.filters.markup import Markup
from qvl.pipeline.filters.no_caption import NoCaption
from qvl.pipeline.filters.nsfw import Nsfw
from qvl.pipeline.filters.special_tag import SpecialTag
from qvl.pipeline.filters.text_length import TextLength
from qvl.pipeline.filters.watermark import Watermark
from qvl.pipeline.filters.word_count import WordCount

ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,66}$")]
MOST_FILTERS = 31  # bits of a mask, without that of a fault
# verdicts that do not come from a filter: a filter over a column cannot have their names
OTHER_VERDICTS = frozenset(
    [
        "keep",
        "unscored",
        "unreadable",
        "download",
        "benchmark",
        "longest_caption",
        "duplicate_image",
        "duplicate_pair",
        "near_duplicate",
        "semantic_duplicate",
        "repeated_text",
        "balanced",
        "columns",
        "dedup",
    ]
)


class Filters(RecipeModel):
    """Every filter under its own name. The order of these lines is the order in which the filters run.

    The verdict of a row is the first filter that it fails; ``failed`` in the ledger has one bit per filter, in this order.
    Filters over ``columns`` follow in the order of their names, each under the name of its column.
    """

    image_format: ImageFormat | None = None
    image_pixels: ImagePixels | None = None
    image_mode: ImageMode | None = None
    animated: Animated | None = None
    image_size: ImageSize | None = None
    aspect_ratio: AspectRatio | None = None
    image_bytes: ImageBytes | None = None
    text_length: TextLength | None = None
    markup: Markup | None = None
    special_tag: SpecialTag | None = None
    emoji: Emoji | None = None
    characters: Characters | None = None
    word_count: WordCount | None = None
    language: Language | None = None
    nsfw: Nsfw | None = None
    watermark: Watermark | None = None
    clip: Clip | None = None
    no_caption: NoCaption | None = None
    columns: dict[ColumnName, ColumnFilter | None] = Field(default_factory=dict)

    @field_validator("columns", mode="after")
    @classmethod
    def _named(cls, columns: dict[str, ColumnFilter | None]) -> dict[str, ColumnFilter | None]:
        for name in columns:
            if name in FILTER_NAMES:
                raise ValueError(f"{name} is a filter of its own: write `filters: {{{name}: ...}}`")
            if name in OTHER_VERDICTS:
                raise ValueError(f"{name} is a verdict already; carry the column under another name")
        return {name: chosen and chosen.model_copy(update={"column": name}) for name, chosen in columns.items()}

    @model_serializer(mode="wrap")
    def _without_empty_columns(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """``columns`` is left out where it is empty: version 0.1 did not know it."""
        content: dict[str, Any] = usual(self)
        if not content.get("columns"):
            content.pop("columns", None)
        return content

    def active(self) -> Iterator[tuple[int, str, Filter]]:
        """Bit, name and filter for each filter of the recipe, in order."""
        own = ((name, getattr(self, name)) for name in FILTER_NAMES)
        for bit, (name, chosen) in enumerate([*own, *self.columns.items()]):
            if chosen is not None:
                yield bit, name, chosen

    def settings(self) -> dict[str, Any]:
        """Every filter's values, null where it is off; without those that version 0.1 did not know and that are off."""
        content = self.model_dump()
        return {name: value for name, value in content.items() if value is not None or name not in ADDED}

    def over(self, defaults: "Filters") -> "Filters":
        """These filters completed by the defaults, value by value; ``name: null`` switches a default filter off."""
        merged = {}
        for name in FILTER_NAMES:
            own, default = getattr(self, name), getattr(defaults, name)
            merged[name] = _over(own, default) if name in self.model_fields_set else default
        columns = dict(defaults.columns)
        for name, chosen in self.columns.items():
            columns[name] = _over(chosen, columns.get(name))
        return Filters(**merged, columns=columns)

    def without(self, columns: Iterable[str]) -> "Filters":
        """These filters, those over the named columns switched off; every filter keeps its bit."""
        off = dict.fromkeys(set(columns) & set(self.columns))
        return self.model_copy(update={"columns": {**self.columns, **off}}) if off else self

    def among(self, columns: Iterable[str]) -> "Filters":
        """These filters with a bit for each of the named columns, whether or not they judge it."""
        known = {name: self.columns.get(name) for name in columns}
        return self.model_copy(update={"columns": known}) if known else self


def _over(own: Any, default: Any) -> Any:
    """A source's filter completed by the default one."""
    return own if own is None or default is None else own.over(default)


FILTER_NAMES: tuple[str, ...] = tuple(name for name in Filters.model_fields if name != "columns")
ADDED = ("no_caption",)
RULES = ("markup", "no_caption")  # filters that every curation has and that have nothing to set
