"""Thumbnails with their captions, values and verdicts."""

from collections.abc import Mapping

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.html.elements import Html, count, join, short, tag, untrusted
from qvl.pipeline.report.gallery import Card
from qvl.pipeline.report.records import FilterReport, GallerySide, LargeCluster, SetChart

TITLES = {
    ("minimum", "outside"): "Just below the minimum",
    ("minimum", "inside"): "At or just above the minimum",
    ("maximum", "outside"): "Just above the maximum",
    ("maximum", "inside"): "At or just below the maximum",
    ("set", "outside"): "Dropped values",
}


def side_gallery(part: GallerySide, report: FilterReport, cards: Mapping[str, Card]) -> Html:
    """The rows on one side of one bound of a filter."""
    columns = [chart.column for chart in report.charts if isinstance(chart, SetChart)]
    shown = []
    for picked in part.samples:
        card = cards[picked.id]
        value = card.values.get(columns[0], "none") if columns else ""
        shown.append(figure(card, short(picked.value) if picked.value is not None else value))
    return tag("div", tag(f"h4.{part.side}", TITLES[part.bound, part.side]), tag("div.gallery", *shown))


def cluster_gallery(cluster: LargeCluster, cards: Mapping[str, Card]) -> Html:
    """One cluster: the row that was kept, then some of the rows that were dropped."""
    members = [figure(cards[sample], "dropped") for sample in cluster.members]
    shown = [figure(cards[cluster.keeper], "keeper"), *members]
    rest = f", {count(len(shown))} shown" if cluster.size > len(shown) else ""
    return tag("div", tag("h4", f"{count(cluster.size)} rows{rest}"), tag("div.gallery", *shown))


def figure(card: Card, value: str) -> Html:
    """One row: its picture or the reason why there is none, value, verdict, caption and id."""
    if card.image is not None:
        image = tag("img", attributes={"src": card.image, "alt": f"picture of {card.id}", "loading": "lazy"})
    else:
        image = tag("span.none", card.why)
    verdict = tag("span.verdict.keep" if card.verdict == KEEP else "span.verdict.drop", card.verdict.replace("_", " "))
    size = f"{count(card.width)} × {count(card.height)}" if card.width else "size unknown"
    hint = f"{card.id}\n{size}\nfails: {', '.join(card.failed) or 'nothing'}"
    text = untrusted(card.caption) if card.caption.strip() else tag("i", "no caption")
    head = join([tag("b", value), verdict])
    return tag(
        "figure.card", tag("div.picture", image),
        tag("figcaption", tag("p.head", head), tag("p.caption", text), tag("code.id", card.id)),
        attributes={"title": hint},
    )  # fmt: skip
