"""The part of a recipe about rows with several captions: which of its texts a row gets."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel
from qvl.pipeline.filters.language import Code
from qvl.pipeline.sources.columns import CaptionName

Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Caption(RecipeModel):
    """How a row with several texts gets its caption: the first text of an order that passes the source's text filters.

    ``order`` names the texts that may be chosen, the preferred one first; by default all, in the order of the source. With
    ``best`` the text with the highest value comes first, with ``language`` those in the preferred languages. ``mix`` names
    texts with their shares: each row draws one by ``seed`` and its id. A text that is not named is never chosen.
    """

    order: Annotated[tuple[CaptionName, ...], BeforeValidator(_listed)] = ()
    best: Literal["characters", "words", "language_probability"] | None = None
    language: Annotated[tuple[Code, ...], BeforeValidator(_listed)] = ()
    mix: dict[CaptionName, Share] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _rules_fit(self) -> "Caption":
        if self.mix and (self.order or self.best is not None):
            raise ValueError("`mix` draws the order itself; leave out `order` and `best`")
        for name, values in (("order", self.order), ("language", self.language)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names {next(v for v in values if values.count(v) > 1)} twice")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """The texts that the rule names; none where all may be chosen."""
        return self.order or tuple(self.mix)

    def candidates(self, captions: Sequence[str]) -> tuple[str, ...]:
        """Of a source's texts those that may be chosen, in order."""
        return tuple(name for name in self.named if name in captions) if self.named else tuple(captions)
