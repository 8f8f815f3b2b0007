"""HTML that is safe by construction: text becomes markup only in ``tag``, which escapes it.

Captions, URLs and file names are untrusted. ``Html`` is created only here and from the package's own files, so a plain
``str`` cannot reach a page unescaped. Template engines escape by default too, but let any caller switch that off.
"""

import html
from collections.abc import Iterable, Mapping

CAPTION_CHARACTERS = 300
VOID = frozenset(("br", "img", "input", "link", "meta"))


class Html(str):
    """Markup that is already escaped."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Escape text for element content and quoted attributes. Control characters become U+FFFD."""
    printable = "".join(c if c in "\n\t" or c >= " " else "\ufffd" for c in text)
    return Html(html.escape(printable.encode("utf-8", "replace").decode()))


def tag(name: str, *children: str, attributes: Mapping[str, str | None] | None = None) -> Html:
    """Build an element. ``name`` may carry classes (``div.card.wide``); attributes that are None are left out."""
    element, *classes = name.split(".")
    pairs = {"class": " ".join(classes) or None, **(attributes or {})}
    inside = "".join(f' {key}="{escape(value)}"' for key, value in pairs.items() if value is not None)
    if element in VOID:
        return Html(f"<{element}{inside}>")
    return Html(f"<{element}{inside}>{join(children)}</{element}>")


def join(children: Iterable[str], separator: str = "") -> Html:
    """Concatenate children; plain text, the separator included, is escaped."""
    parts = (child if isinstance(child, Html) else escape(child) for child in children)
    return Html(escape(separator).join(parts))


def untrusted(text: str, limit: int = CAPTION_CHARACTERS) -> Html:
    """Text from the data: cut to ``limit`` characters, escaped, and isolated so that its writing direction stays inside."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return tag("bdi", shown, attributes={"dir": "auto"})


def count(number: int) -> str:
    """A whole number with thousands separators."""
    return f"{number:,}"


def percent(part: int, whole: int) -> str:
    """A share with one decimal; a dash where ``whole`` is 0."""
    return f"{part / whole:.1%}" if whole else "–"


def short(number: float) -> str:
    """A threshold or a value as people write it: 1,000, 0.25, 178,956,970."""
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"


def plural(number: int, noun: str) -> str:
    """A number with its noun: 1 row, 2 rows."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]], classes: str = "") -> Html:
    """A table that scrolls inside its box. The first cell of each row is its heading.

    ``classes``: ``.numbers`` aligns all columns but the first to the right, ``.last`` emphasises the last row.
    """
    top = tag("tr", *(tag("th", cell, attributes={"scope": "col"}) for cell in head))
    body = []
    for row in rows:
        first, *cells = row
        body.append(tag("tr", tag("th", first, attributes={"scope": "row"}), *(tag("td", cell) for cell in cells)))
    inner = tag(f"table{classes}", tag("thead", top), tag("tbody", *body))
    return tag("div.scroll", inner, attributes={"tabindex": "0"})
