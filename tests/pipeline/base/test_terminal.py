"""Lines on the terminal: data cannot control it, and JSON stays exact."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qvl.pipeline.base.terminal import print_json, say, say_lines, visible, visible_lines, warn

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "C1 control sequence": "\x9b2J",
    "cursor": "a\rb\x08c\x7f",
    "forged line": "fine\nerror: none",
    "other line ends": "a\x0bb\x0cc\x85d\u2028e\u2029f",
    "override": "gpj.\u202eexe.txt\u202c",
    "isolate": "\u2066a\u2069\u061c\u200e\u200f",
    "file name that is not UTF-8": "\udcff.jpg",
    "nothing": "\0",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_visible_when_text_holds_controls_shows_them_as_escapes(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown == "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


@pytest.mark.parametrize(
    "text", ['A red barn, 100% "quoted" \\ back', "一只红色的鸟", "مرحبا שלום", "👩‍🔬 e\u0301 \xa0 \u200d", ""]
)
def test_visible_when_text_is_readable_keeps_it(text: str) -> None:
    assert visible(text) == visible_lines(text) == text


@given(st.text())
def test_visible_when_applied_again_changes_nothing(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert visible_lines(text).replace("\n", "\\n") == visible(text)


def test_say_and_warn_when_given_controls_print_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2J\nb")
    warn("c\u202e\nd")
    printed = capsys.readouterr()
    assert printed.out == "a\\x1b[2J\\nb\n"
    assert printed.err == "c\\u202e\\nd\n"


def test_say_lines_when_given_lines_keeps_their_ends(capsys: pytest.CaptureFixture[str]) -> None:
    say_lines("a\nb\x1b\n")
    assert capsys.readouterr().out == "a\nb\\x1b\n"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_print_json_when_given_controls_is_exact_and_ascii(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({text: [text]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {text: [text]}
    assert printed.removesuffix("\n").isascii()
    assert printed.removesuffix("\n").isprintable() or "\x7f" in text
