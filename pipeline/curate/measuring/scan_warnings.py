"""What a scan noticed next to its rows: files that are no rows, and tars whose members do not find their partners."""

from collections import Counter
from collections.abc import Iterable

from qvl.pipeline.curate.measuring.manifests import ScanManifest


def scan_warnings(scanned: Iterable[ScanManifest]) -> list[str]:
    """A line for each source with files that are no rows, and for each one with tars where most samples lack a partner."""
    left_out: dict[str, Counter[str]] = {}
    unpaired: dict[str, list[ScanManifest]] = {}
    for unit in scanned:
        if unit.left_out:
            left_out.setdefault(unit.source, Counter()).update(unit.left_out)
        if unit.unpaired:
            unpaired.setdefault(unit.source, []).append(unit)
    counted = (f"{source}: next to the rows: {_counted(counts)}" for source, counts in left_out.items())
    return [*counted, *(_unpaired(source, units) for source, units in unpaired.items())]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(counts.items()))


def _unpaired(source: str, units: list[ScanManifest]) -> str:
    samples = sum(unit.unpaired for unit in units)
    return (
        f"{source}: {samples:,} samples of {units[0].name}{f' and {len(units) - 1:,} more' if len(units) > 1 else ''} have"
        " only a picture or only a text; if the members have other endings, name them with `members:`"
    )
