"""Header, sections, and the contents that link to them."""

from qvl.pipeline.html.sections import Tile, contents, dataset_hash, header, section


def test_contents_link_to_every_section_and_its_parts() -> None:
    sections = [
        section("a", "A long title", "", link="A"),
        section("b", "B", "", parts=[("b-1", "one"), ("b-2", "two")]),
    ]
    links = contents("name", sections)
    assert links.count("<a ") == 5
    for target, title in (("top", "name"), ("a", "A"), ("b", "B"), ("b-1", "one"), ("b-2", "two")):
        assert f'<a href="#{target}">{title}</a>' in links


def test_a_section_without_a_lead_has_no_empty_paragraph() -> None:
    assert section("a", "A", "").content == '<section id="a"><h2>A</h2></section>'
    assert (
        section("a", "A", "Lead", "text").content == '<section id="a"><h2>A</h2><p class="lead">Lead</p>text</section>'
    )


def test_a_header_shows_its_figures() -> None:
    shown = header("Report", "name", [Tile("12", "rows in")], dataset_hash("abc"))
    assert '<div class="tile"><b>12</b><span>rows in</span></div>' in shown and "<code>abc</code>" in shown
    assert "tiles" not in header("Report", "name", [])
