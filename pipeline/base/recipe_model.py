"""The base class of everything that is read from a recipe."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

BIGGEST = 2**63


class RecipeModel(BaseModel):
    """An immutable model. Unknown keys, NaN, infinity and integers of more than 64 bits are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _fits_64_bits(cls, value: Any) -> Any:
        """Columns, seeds and hashes have 64 bits: a larger number would fail wherever it is used."""
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, int) and not -BIGGEST <= each < BIGGEST:
                raise ValueError("must be less than 2^63 and at least -2^63")
        return value
