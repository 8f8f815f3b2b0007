"""A stranger's text never becomes markup."""

import html.parser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.html.elements import Html, count, escape, percent, short, table, tag, untrusted


class Reader(html.parser.HTMLParser):
    """What a browser would find: tags, and the text between them."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


hostile = st.text() | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</bdi><b>",
        "a\0b",
        "\u202eabc",
        "\ud800",
        "&lt;",
        "]]>",
    ]
)


@given(hostile, hostile)
def test_text_stays_text_in_content_and_attributes(text: str, other: str) -> None:
    reader = Reader(tag("p", text, tag("b", other), attributes={"title": other}))
    assert reader.tags == ["p", "b"]
    assert [name for name, _ in reader.attributes] == ["title"]


@given(hostile)
def test_escaped_text_reads_back(text: str) -> None:
    printable = "".join(c if c in "\n\t" or c >= " " else "\ufffd" for c in text).encode("utf-8", "replace").decode()
    assert Reader(tag("p", text)).text.replace("\r", "\n") == printable.replace("\r", "\n")


def test_untrusted_text_is_cut_and_isolated() -> None:
    shown = untrusted("\u202e" + "x" * 1_000_000)
    assert shown.startswith('<bdi dir="auto">') and shown.endswith("…</bdi>")
    assert len(shown) < 400


def test_classes_void_elements_and_absent_attributes() -> None:
    assert tag("div.a.b", "x", attributes={"id": "i", "title": None}) == '<div class="a b" id="i">x</div>'
    assert tag("img", attributes={"src": "data:,"}) == '<img src="data:,">'
    assert isinstance(escape("x"), Html)


def test_numbers_as_people_write_them() -> None:
    shown: list[Any] = [count(1234567), percent(1, 3), percent(0, 0), short(1000.0), short(0.25), short(178956970)]
    assert shown == ["1,234,567", "33.3%", "–", "1,000", "0.25", "178,956,970"]


def test_a_table_heads_its_rows_and_scrolls_in_its_box() -> None:
    made = table(["name", "<n>"], [["<a>", "1"]], ".numbers")
    assert Reader(made).tags == ["div", "table", "thead", "tr", "th", "th", "tbody", "tr", "th", "td"]
    assert made.startswith('<div class="scroll"')
