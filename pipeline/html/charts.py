"""Charts: bars drawn by the style sheet alone, and interactive charts that ``charts.js`` draws with Plotly.

An interactive chart carries its data in an attribute of its own element, so that a page needs no other channel to its
script, and text in the data is escaped like all other text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from plotly.offline import get_plotlyjs

from qvl.pipeline.html.document import Page
from qvl.pipeline.html.elements import Html, tag, untrusted
from qvl.pipeline.html.sections import Section

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a static chart. ``share`` and ``reference``, a mark across the bar, are fractions of the track's length."""

    label: str
    share: float
    text: str
    reference: float | None = None
    reference_text: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Values by label. ``colour`` is a number of the palette, so that a source has one colour in all charts."""

    name: str
    values: Sequence[int]
    colour: int


@dataclass(frozen=True, slots=True)
class StackedBars:
    """Horizontal bars, one per label, with the series stacked and the totals written out."""

    kind: str = field(default="stacked", init=False)
    labels: Sequence[str]
    series: Sequence[Series]


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """Two horizontal bars per label: its share of all rows before, and after. The values are counts."""

    kind: str = field(default="before_after", init=False)
    labels: Sequence[str]
    before: Sequence[int]
    after: Sequence[int]


@dataclass(frozen=True, slots=True)
class Columns:
    """Upright bars over categories."""

    kind: str = field(default="columns", init=False)
    labels: Sequence[str]
    values: Sequence[int]
    x_title: str
    y_title: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by value and source, with movable thresholds.

    Bin i lies between ``edges[i - 1]`` and ``edges[i]``; the first and the last bin are open. ``closed`` is the end that
    belongs to a bin. ``bounds`` holds (minimum, maximum) by source. ``every`` counts all readable rows by source and bin,
    ``alone`` those that no other filter drops; ``unmeasured`` rows have no value. ``rows``: all rows of each source.
    """

    kind: str = field(default="histogram", init=False)
    label: str
    integer: bool
    closed: str
    edges: Sequence[float]
    bounds: Mapping[str, Sequence[float | None]]
    every: Mapping[str, Sequence[int]]
    alone: Mapping[str, Sequence[int]]
    unmeasured: Mapping[str, int]
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """Values over the x values of a chart; None leaves a gap."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Band:
    """A mean with its range, and a smoothed line: the loss. ``skipped`` are x values marked with a cross."""

    mean: Sequence[float | None]
    low: Sequence[float | None]
    high: Sequence[float | None]
    smooth: Sequence[float | None]
    skipped: Sequence[int]


@dataclass(frozen=True, slots=True)
class Curves:
    """Lines over steps. ``scale``: ``percent``, ``from_zero``, ``exponent`` or nothing; ``dotted``: vertical lines."""

    kind: str = field(default="curves", init=False)
    steps: Sequence[int]
    span: tuple[int, int]
    lines: Sequence[Line]
    band: Band | None = None
    dotted: Sequence[int] = ()
    scale: str = ""
    markers: bool = False


@dataclass(frozen=True, slots=True)
class PointLine:
    """Means with error bars; ``repeats`` are the single measurements behind each mean."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float]
    error: Sequence[float]
    repeats: Sequence[Sequence[float]]
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Points:
    """Means with error bars over numbers (on a logarithmic axis) or categories (``joined``: lines between them too)."""

    kind: str = field(default="points", init=False)
    lines: Sequence[PointLine]
    y_title: str
    x_title: str = ""
    joined: bool = True
    from_zero: bool = True


Content = StackedBars | BeforeAfter | Columns | Histogram | Curves | Points


def chart(name: str, description: str, height: int, content: Content) -> Html:
    """An interactive chart of ``height`` pixels. The script draws it when it comes into view."""
    attributes = {
        "data-chart": name, "data-content": orjson.dumps(content).decode(), "role": "img", "aria-label": description,
        "style": f"height:{height}px",
    }  # fmt: skip
    return tag("div.chart", attributes=attributes)


def charts_page(title: str, name: str, top: Html, sections: Sequence[Section], script: str = "") -> Page:
    """A page with interactive charts. ``script`` runs after ``charts.js``."""
    own = (HERE / "charts.js").read_text("utf-8") + script
    return Page(title, name, top, sections, own, get_plotlyjs())


def captioned(title: str, note: str, content: str) -> Html:
    """A chart with its title above."""
    return tag("div.curve", tag("h4", title, tag("span", f" {note}") if note else ""), content)


def bar_chart(title: str, bars: Iterable[Bar]) -> Html:
    """A static chart of horizontal bars."""
    return tag("div.bars", tag("h4", title) if title else "", *(_bar(bar) for bar in bars))


def counted_bars(title: str, counts: Sequence[tuple[str, int]], texts: Sequence[str]) -> Html:
    """A static chart of counts by label, the longest bar as long as the track; ``texts`` stand behind the bars."""
    most = max((number for _, number in counts), default=0) or 1
    bars = (Bar(label, number / most, text) for (label, number), text in zip(counts, texts, strict=True))
    return bar_chart(title, bars)


def _bar(bar: Bar) -> Html:
    reference = [] if bar.reference is None else [tag("span.reference", attributes={"style": _left(bar.reference)})]
    fill = tag("span.fill", attributes={"style": f"width:{100 * bar.share:.2f}%"})
    number = tag("span.number", bar.text, tag("i", f" {bar.reference_text}") if bar.reference_text else "")
    return tag("div.bar", tag("span.label", untrusted(bar.label, 40)), tag("span.track", fill, *reference), number)


def _left(share: float) -> str:
    return f"left:{100 * share:.2f}%"


def reference_legend(own: str, reference: str) -> Html:
    """What bars and the marks across them stand for."""
    return tag("p.legend", tag("span.key.own"), f" {own}  ", tag("span.key.reference"), f" {reference}")


def share_cell(share: float | None, text: str) -> Html:
    """A table cell's text over a bar as long as the share; a dash where there is none."""
    if share is None:
        return tag("span", "–")
    return tag("span.share", text, attributes={"style": f"--share:{min(1.0, share):.4f}"})


def heat_cell(share: float, text: str) -> Html:
    """A table cell's text on a shade: the darker, the larger the share."""
    return tag("span.heat", text, attributes={"style": f"--heat:{share:.3f}"})
