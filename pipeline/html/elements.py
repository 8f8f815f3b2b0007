"""HTML that is safe by construction: text becomes markup in ``tag`` alone, and ``tag`` escapes it.

Captions, urls and file names come from strangers. ``Html`` is made only here and from the package's own files, so a
plain ``str`` can never reach the page unescaped.
"""

import html
from collections.abc import Iterable, Mapping

CAPTION_CHARACTERS = 300
VOID = frozenset(("img", "input", "meta"))


class Html(str):
    """Markup: already escaped."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Text as markup, for element content and for quoted attributes. NUL and other control characters become U+FFFD."""
    printable = "".join(c if c in "\n\t" or c >= " " else "\ufffd" for c in text)
    return Html(html.escape(printable.encode("utf-8", "replace").decode()))


def tag(name: str, *children: str, attributes: Mapping[str, str | None] | None = None) -> Html:
    """An element. ``name`` may carry classes (``div.card.wide``); an attribute that is None is left out."""
    element, *classes = name.split(".")
    pairs = {"class": " ".join(classes) or None, **(attributes or {})}
    inside = "".join(f' {key}="{escape(value)}"' for key, value in pairs.items() if value is not None)
    if element in VOID:
        return Html(f"<{element}{inside}>")
    return Html(f"<{element}{inside}>{join(children)}</{element}>")


def join(children: Iterable[str]) -> Html:
    """Children one after the other, plain text escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def foreign(text: str, limit: int = CAPTION_CHARACTERS) -> Html:
    """A stranger's text: cut, escaped, and isolated so that its writing direction stays inside it."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return tag("bdi", shown, attributes={"dir": "auto"})


def count(number: int) -> str:
    """A whole number with thousands separators."""
    return f"{number:,}"


def percent(part: int, whole: int) -> str:
    """A share with one decimal; a dash where there is nothing to share."""
    return f"{part / whole:.1%}" if whole else "–"


def short(number: float) -> str:
    """A threshold or a value as people write it: 1,000, 0.25, 178,956,970."""
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]], classes: str = "") -> Html:
    """A table that scrolls inside its box. The first cell of a row is its heading."""
    top = tag("tr", *(tag("th", cell, attributes={"scope": "col"}) for cell in head))
    body = []
    for row in rows:
        first, *cells = row
        body.append(tag("tr", tag("th", first, attributes={"scope": "row"}), *(tag("td", cell) for cell in cells)))
    inner = tag(f"table{classes}", tag("thead", top), tag("tbody", *body))
    return tag("div.scroll", inner, attributes={"tabindex": "0"})
