"""Thumbnails with their captions, values and verdicts."""

from typing import Any

from qvl.pipeline.base.verdicts import KEEP
from qvl.pipeline.html.elements import Html, count, foreign, join, short, tag
from qvl.pipeline.report.gallery import Card

TITLES = {
    ("minimum", "outside"): "Just below the minimum",
    ("minimum", "inside"): "At or just above the minimum",
    ("maximum", "outside"): "Just above the maximum",
    ("maximum", "inside"): "At or just below the maximum",
    ("set", "outside"): "Dropped values",
}


def side_gallery(part: dict[str, Any], data: dict[str, Any], cards: dict[str, Card]) -> Html:
    """The rows on one side of one bound of a filter."""
    columns = [chart["column"] for chart in data["charts"] if chart["kind"] == "words"]
    shown = []
    for sample in part["samples"]:
        card = cards[sample["id"]]
        words = card.words.get(columns[0], "none") if columns else ""
        shown.append(figure(card, short(sample["value"]) if sample["value"] is not None else words))
    name = TITLES[part["bound"], part["side"]]
    return tag("div.side", tag(f"h4.{part['side']}", name), tag("div.gallery", *shown))


def cluster_gallery(cluster: dict[str, Any], cards: dict[str, Card]) -> Html:
    """One cluster: the row that was kept, then some that lost to it."""
    members = [figure(cards[sample], "dropped") for sample in cluster["members"]]
    row = [figure(cards[cluster["keeper"]], "keeper"), *members]
    more = cluster["size"] - len(row)
    rest = f", {count(len(row))} shown" if more > 0 else ""
    return tag("div.side", tag("h4", f"{count(cluster['size'])} rows{rest}"), tag("div.gallery", *row))


def figure(card: Card, value: str) -> Html:
    """One row: picture or the reason why there is none, value, verdict, caption, id."""
    if card.image is not None:
        image = tag("img", attributes={"src": card.image, "alt": f"picture of {card.id}", "loading": "lazy"})
    else:
        image = tag("span.none", card.why)
    verdict = tag("span.verdict.keep" if card.verdict == KEEP else "span.verdict.drop", card.verdict.replace("_", " "))
    size = f"{count(card.width)} × {count(card.height)}" if card.width else "size unknown"
    hint = f"{card.id}\n{size}\nfails: {', '.join(card.failed) or 'nothing'}"
    text = foreign(card.caption) if card.caption.strip() else tag("i", "no caption")
    head = join([tag("b", value), verdict])
    return tag(
        "figure.card", tag("div.picture", image),
        tag("figcaption", tag("p.head", head), tag("p.caption", text), tag("code.id", card.id)),
        attributes={"title": hint},
    )  # fmt: skip
