"""The parts that every page is made of: a header with figures, sections, and links to them."""

from collections.abc import Iterable
from dataclasses import dataclass

from qvl.pipeline.html.elements import Html, join, tag


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of a page, with what it counts."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page. ``link`` is its entry in the contents; ``parts`` are the ids and entries of parts inside it."""

    id: str
    title: str
    content: Html
    link: str
    parts: tuple[tuple[str, str], ...] = ()


def section(
    name: str, title: str, lead: str, *children: str, link: str = "", parts: Iterable[tuple[str, str]] = ()
) -> Section:
    """A section with its heading, an introduction (left out where empty) and its content."""
    intro = [tag("p.lead", lead)] if lead else []
    content = tag("section", tag("h2", title), *intro, *children, attributes={"id": name})
    return Section(name, title, content, link or title, tuple(parts))


def header(kind: str, heading: str, tiles: Iterable[Tile], *children: str) -> Html:
    """The top of a page: the kind of page, its heading, a row of figures, and whatever follows."""
    shown = [tag("div.tile", tag("b", tile.value), tag("span", tile.label)) for tile in tiles]
    return tag("header", tag("p.kind", kind), tag("h1", heading), tag("div.tiles", *shown) if shown else "", *children)


def dataset_hash(value: str) -> Html:
    """The line under the figures that identifies a dataset."""
    return tag("p.hash", "dataset hash ", tag("code", value))


def contents(name: str, sections: Iterable[Section]) -> Html:
    """Links to every section and its parts."""

    def link(target: str, title: str) -> Html:
        return tag("a", title, attributes={"href": f"#{target}"})

    links = [link("top", name)]
    for each in sections:
        links.append(link(each.id, each.link))
        if each.parts:
            links.append(tag("div.below", *(link(*part) for part in each.parts)))
    return tag("nav", join(links), attributes={"aria-label": "contents"})
