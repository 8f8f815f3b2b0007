"""The filters, one file each, and the part of a recipe that configures them."""

from collections.abc import Iterator

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.filters.animated import Animated
from qvl.pipeline.filters.aspect_ratio import AspectRatio
from qvl.pipeline.filters.base import Filter
from qvl.pipeline.filters.characters import Characters
from qvl.pipeline.filters.clip import Clip
from qvl.pipeline.filters.emoji import Emoji
from qvl.pipeline.filters.image_bytes import ImageBytes
from qvl.pipeline.filters.image_format import ImageFormat
from qvl.pipeline.filters.image_mode import ImageMode
from qvl.pipeline.filters.image_pixels import ImagePixels
from qvl.pipeline.filters.image_size import ImageSize
from qvl.pipeline.filters.language import Language
from qvl.pipeline.filters.markup import Markup
from qvl.pipeline.filters.nsfw import Nsfw
from qvl.pipeline.filters.special_tag import SpecialTag
from qvl.pipeline.filters.text_length import TextLength
from qvl.pipeline.filters.watermark import Watermark
from qvl.pipeline.filters.word_count import WordCount


class Filters(RecipeModel):
    """Every filter under its own name. The order of these lines is the order in which the filters run.

    The verdict of a row is the first filter that it fails; ``failed`` in the ledger has one bit per filter, in this order.
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

    def active(self) -> Iterator[tuple[int, str, Filter]]:
        """Bit, name and filter for each filter of the recipe, in order."""
        for bit, name in enumerate(type(self).model_fields):
            chosen = getattr(self, name)
            if chosen is not None:
                yield bit, name, chosen

    def over(self, defaults: "Filters") -> "Filters":
        """These filters completed by the defaults, value by value; ``name: null`` switches a default filter off."""
        merged = {}
        for name in type(self).model_fields:
            own, default = getattr(self, name), getattr(defaults, name)
            if name not in self.model_fields_set:
                merged[name] = default
            else:
                merged[name] = own if own is None or default is None else own.over(default)
        return Filters(**merged)


FILTER_NAMES: tuple[str, ...] = tuple(Filters.model_fields)
