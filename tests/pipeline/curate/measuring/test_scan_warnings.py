"""What a scan reports next to its rows."""

from dataclasses import replace

from qvl.pipeline.curate.measuring.scan_warnings import scan_warnings
from tests.pipeline.curate.scanned import scan_manifest

UNIT = scan_manifest("u0", "web", 60, {})


def test_scan_warnings_when_nothing_was_left_out_are_empty() -> None:
    assert scan_warnings([UNIT, UNIT]) == []


def test_scan_warnings_when_files_are_no_rows_add_them_up_per_source() -> None:
    units = [
        replace(UNIT, left_out={"unknown_files": 1_000}),
        replace(UNIT, left_out={"unknown_files": 200, "folders": 1}),
        replace(UNIT, source="b", left_out={"folders": 2}),
    ]
    assert scan_warnings(units) == [
        "web: next to the rows: folders 1, unknown files 1,200",
        "b: next to the rows: folders 2",
    ]


def test_scan_warnings_when_most_samples_lack_a_partner_name_the_first_file() -> None:
    units = [replace(UNIT, unpaired=40), UNIT, replace(UNIT, name="u9.tar", unpaired=50)]
    (line,) = scan_warnings(units)
    assert line.startswith("web: 90 samples of u0.tar and 1 more have only a picture or only a text")
    assert "`members:`" in line
