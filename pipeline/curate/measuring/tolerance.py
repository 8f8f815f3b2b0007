"""When a run stops because too much of its input is unreadable (``tolerance`` of the recipe)."""

from collections import Counter

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.curate.measuring.manifests import ScanManifest
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.sources.image_files import LINK_OUTSIDE

TAR_FAULTS = ("truncated_tar", "damaged_tar", "not_a_tar", "compressed_tar", "no_samples")
UNIT_FAULTS = frozenset((*TAR_FAULTS, "unit", "damaged_table", "expands_too_far"))


def check_tolerance(recipe: Recipe, units: list[ScanManifest]) -> None:
    """Raise DataError if more rows, or more units, are unreadable than the recipe tolerates."""
    rows = sum(unit.rows for unit in units)
    faults: Counter[str] = Counter()
    for unit in units:
        faults.update({fault: n for fault, n in unit.faults.items() if fault.startswith("unreadable:")})
    worst = ", ".join(f"{fault} {count}" for fault, count in faults.most_common(3))
    if faults.total() > recipe.tolerance.unreadable_rows * rows:
        raise DataError(
            f"{faults.total()} of {rows} rows are unreadable ({worst}), more than tolerance.unreadable_rows "
            f"{recipe.tolerance.unreadable_rows}; repair the input or raise the tolerance{_hint(faults)}"
        )
    check_units(recipe, [unit for unit in units if is_broken(unit)], len(units))


def _hint(faults: Counter[str]) -> str:
    linked = faults[f"unreadable:{LINK_OUTSIDE}"]
    return f"; {linked} images are links out of image_folder, which `follow_links: true` follows" if linked else ""


def check_units(recipe: Recipe, broken: list[ScanManifest], units: int) -> None:
    """Raise DataError if the ``broken`` ones are more of all ``units`` than the recipe tolerates."""
    if len(broken) > recipe.tolerance.unreadable_units * units:
        names = ", ".join(f"{unit.name} ({', '.join(unit.faults)})" for unit in broken[:3])
        raise DataError(
            f"{len(broken)} of {units} input files cannot be read to their end: {names}; repair them or raise "
            f"tolerance.unreadable_units ({recipe.tolerance.unreadable_units})"
        )


def is_broken(unit: ScanManifest) -> bool:
    """True if the unit could not be read to its end."""
    return any(fault.split(":")[1] in UNIT_FAULTS for fault in unit.faults)
