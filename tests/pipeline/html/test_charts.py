"""Bars drawn by the style sheet, and the data of interactive charts."""

import html
import json
import re
from typing import Any

from qvl.pipeline.html.charts import (
    Bar,
    Columns,
    Histogram,
    Series,
    StackedBars,
    bar_chart,
    chart,
    charts_page,
    counted_bars,
    heat_cell,
    share_cell,
)
from qvl.pipeline.html.elements import Html

HOSTILE = '"><script>alert(1)</script>'


def content(element: str) -> dict[str, Any]:
    found = re.search(r'data-content="([^"]*)"', element)
    assert found is not None
    read: dict[str, Any] = json.loads(html.unescape(found[1]))
    return read


def test_a_chart_carries_its_data_in_its_element() -> None:
    element = chart("funnel", "Rows", 200, StackedBars(["a", "b"], [Series("web", [3, 1], 2)]))
    assert 'data-chart="funnel"' in element and "height:200px" in element
    assert content(element) == {
        "kind": "stacked",
        "labels": ["a", "b"],
        "series": [{"name": "web", "values": [3, 1], "colour": 2}],
    }


def test_hostile_names_in_chart_data_stay_data() -> None:
    element = chart(HOSTILE, HOSTILE, 100, Columns([HOSTILE], [1], HOSTILE, ""))
    assert "<script" not in element
    assert content(element)["labels"] == [HOSTILE]


def test_a_histogram_keeps_missing_bounds() -> None:
    data = Histogram(
        "size", True, "left", [1.0, 2.0], {"web": [None, 2.0]}, {"web": [0, 1, 2]}, {}, {"web": 1}, {"web": 4}
    )
    read = content(chart("h", "h", 100, data))
    assert read["kind"] == "histogram" and read["bounds"] == {"web": [None, 2.0]} and read["rows"] == {"web": 4}


def test_the_longest_bar_fills_its_track_and_no_rows_give_no_bars() -> None:
    bars = counted_bars("Title", [("a", 1), ("b", 4), ("c", 0)], ["1", "4", "0"])
    assert re.findall(r"width:([\d.]+)%", bars) == ["25.00", "100.00", "0.00"]
    assert re.findall(r"width:([\d.]+)%", counted_bars("", [("a", 0)], ["0"])) == ["0.00"]


def test_a_bar_with_a_reference_has_a_mark_and_its_text() -> None:
    element = bar_chart("", [Bar("a", 0.5, "50%", 0.25, "25%"), Bar("b", 1.0, "100%")])
    assert element.count('class="reference"') == 1 and "left:25.00%" in element and "<i> 25%</i>" in element


def test_cells_show_their_share() -> None:
    assert share_cell(None, "") == "<span>–</span>"
    assert share_cell(1.5, "150%") == '<span class="share" style="--share:1.0000">150%</span>'
    assert heat_cell(0.25, "25%") == '<span class="heat" style="--heat:0.250">25%</span>'


def test_a_page_with_charts_runs_the_charts_before_its_own_script() -> None:
    page = charts_page("t", "n", Html(), [], "ownScript();")
    assert "Plotly" in page.library and page.script.index("function drawStacked") < page.script.index("ownScript();")
