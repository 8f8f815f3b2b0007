"""Scan manifests for tests that need units but no input files."""

from collections.abc import Iterable

from qvl.pipeline.curate.measuring.manifests import ScanManifest


def scan_manifest(unit: str, source: str, rows: int, faults: dict[str, int] | None = None) -> ScanManifest:
    """The manifest of a unit of ``rows`` rows; its hash is its id."""
    return ScanManifest(unit, source, f"{unit}.tar", rows, 0, faults or {}, unit, {}, unit)


def scan_manifests(rows: Iterable[int], source: str = "a") -> list[ScanManifest]:
    """Units ``u0``, ``u1`` and on, with these numbers of rows."""
    return [scan_manifest(f"u{number}", source, count) for number, count in enumerate(rows)]
