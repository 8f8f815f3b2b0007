"""What a run will cost at given rates: rows, bytes, core-hours and GPU-hours by stage, before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from qvl.pipeline.curate.plan import SourcePlan
from qvl.pipeline.curate.rates import Rates
from qvl.pipeline.recipe.recipe import Recipe

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Price:
    """Rows of all sources (``rows_estimated`` of them from their bytes) and hours by stage, None where no rate is known."""

    rows: int
    rows_estimated: int
    bytes: int
    bytes_per_row: int
    rates: dict[str, float]
    hours: dict[str, float | None]
    core_hours: float | None
    gpu_hours: float | None
    clip_on: Literal["gpu", "core"]


def price(recipe: Recipe, sources: Mapping[str, SourcePlan], rates: Rates) -> Price:
    """The rows that are still to be processed and what they cost.

    Scoring is priced as if no filter dropped a row, which is an upper bound.
    """
    plans = sources.values()
    bytes_to_scan = sum(plan.bytes * (plan.units - plan.reused) / max(plan.units, 1) for plan in plans)
    new = round(bytes_to_scan / rates.bytes_per_row)
    rows = sum(plan.rows for plan in plans) + new
    hours = {stage: _hours(stage, count, rates) for stage, count in _work(recipe, new, rows).items()}
    on_cores = ("scan", "score", "clip") if rates.clip_on == "core" else ("scan", "score")
    known = [value for stage in on_cores if (value := hours.get(stage)) is not None]
    return Price(
        rows=rows,
        rows_estimated=new,
        bytes=sum(plan.bytes for plan in plans),
        bytes_per_row=round(rates.bytes_per_row),
        rates={stage: round(rate, 1) for stage, rate in rates.per_second.items()},
        hours=hours,
        core_hours=round(sum(known), 4) if known else None,
        gpu_hours=hours.get("clip") if rates.clip_on == "gpu" else None,
        clip_on=rates.clip_on,
    )


def _work(recipe: Recipe, new: int, rows: int) -> dict[str, int]:
    """Rows that each stage of the recipe has to process."""
    work = {"scan": new}
    if recipe.score is not None:
        work["score"] = rows
        if recipe.score.clip is not None:
            work["clip"] = rows
    return work


def _hours(stage: str, rows: int, rates: Rates) -> float | None:
    rate = rates.per_second.get(stage)
    return None if rate is None else round(rows / rate / SECONDS_PER_HOUR, 4)


def price_lines(found: Price) -> list[str]:
    """The price as lines of text."""
    lines = [
        f"about {found.rows:,} rows ({found.rows_estimated:,} of them estimated at {found.bytes_per_row:,} bytes each), "
        f"{found.bytes:,} bytes"
    ]
    for stage, hours in found.hours.items():
        unit = "GPU-hours" if stage == "clip" and found.clip_on == "gpu" else "core-hours"
        cost = f"no rate: give --rate {stage}=..."
        if hours is not None:
            cost = f"{hours:,.4g} {unit} at {found.rates[stage]:,.0f} rows/s"
        lines.append(f"{stage:<7} {cost}")
    return lines
