"""The part of a recipe about balance: which of the rows that duplicate rules have left stay, step after step."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from qvl.pipeline.base.recipe_model import RecipeModel

ColumnName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,66}$")]
StepName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
LEAST = 1e-6  # shares are counted in millionths
Share = Annotated[float, Field(ge=LEAST, le=1)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
MOST_STEPS = 30


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Per = Annotated[tuple[ColumnName, ...], BeforeValidator(_listed), Field(max_length=8)]


class Cap(RecipeModel):
    """At most ``count`` rows for each combination of values of the columns ``per``.

    Those with the highest value of ``by`` stay, without it those that the seed draws. Rows without a value in one of the
    columns are all kept, or with ``missing: drop`` all dropped.
    """

    per: Per = Field(min_length=1)
    count: Count
    by: ColumnName | None = None
    missing: Literal["keep", "drop"] = "keep"


class Top(RecipeModel):
    """The share of rows with the highest value of ``by``, rounded up, among all rows or in each group of ``per``."""

    by: ColumnName
    share: Share
    per: Per = ()


class Sample(RecipeModel):
    """A sample without replacement of ``count`` rows or of a ``share``, among all rows or in each group of ``per``.

    A row is drawn with a weight of exp(``by`` / ``temperature``): the lower the temperature, the more the sample prefers
    high values. Without ``by`` all weights are equal.
    """

    by: ColumnName | None = None
    temperature: float = Field(default=1.0, ge=LEAST)
    count: Count | None = None
    share: Share | None = None
    per: Per = ()

    @model_validator(mode="after")
    def _one_size(self) -> "Sample":
        if (self.count is None) == (self.share is None):
            raise ValueError("sample: give either `count` or `share`")
        return self


class BalanceStep(RecipeModel):
    """One step of balance: a ``cap``, a ``top`` share or a ``sample``. The rows that it drops are ``balanced:NAME``."""

    name: StepName
    seed: int = Field(default=0, ge=0, lt=2**63)
    cap: Cap | None = None
    top: Top | None = None
    sample: Sample | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> "BalanceStep":
        if sum(rule is not None for rule in (self.cap, self.top, self.sample)) != 1:
            raise ValueError(f"balance step {self.name}: give exactly one of cap, top and sample")
        return self

    @property
    def rule(self) -> Cap | Top | Sample:
        """The rule of the step."""
        rule = self.cap or self.top or self.sample
        if rule is None:
            raise ValueError(f"balance step {self.name} has no rule")
        return rule

    @property
    def reason(self) -> str:
        """The verdict of rows that the step drops."""
        return f"balanced:{self.name}"

    def identity(self) -> dict[str, JsonValue]:
        """Everything that the step's verdicts depend on; settings at their defaults are left out."""
        content: dict[str, JsonValue] = self.model_dump(mode="json", exclude_defaults=True)
        return content


def check_balance_steps(steps: tuple[BalanceStep, ...]) -> None:
    """Raise ValueError for two steps of one name."""
    names = [step.name for step in steps]
    if len(set(names)) < len(names):
        raise ValueError(f"balance: two steps have the name {next(name for name in names if names.count(name) > 1)}")
