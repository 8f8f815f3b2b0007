"""Every command and every option is documented, and documentation names no command or option that is not there."""

import re
from typing import Any

import pytest

from tests.docs import reference
from tests.docs.pages import PAGES, ROOT, blocks

COMMANDS = dict(reference.commands())
GUIDES = [path for path in PAGES if path != reference.PAGE and path.name != "LOG.md"]
LINE = re.compile(r"qvl ((?:[a-z]\w*[ \t]*)+)")


def options(command: Any) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}


def test_the_page_of_commands_is_up_to_date() -> None:
    made = reference.reference()
    assert reference.PAGE.read_text("utf-8") == made, "run: python -m tests.docs.reference"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_explained_in_a_guide(words: tuple[str, ...]) -> None:
    """By its whole path, outside of the page that is made from --help."""
    assert any(" ".join(words) in path.read_text("utf-8") for path in GUIDES)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(words: tuple[str, ...]) -> None:
    assert COMMANDS[words].help
    assert [each.name for each in COMMANDS[words].params if not each.help] == []


def command_lines() -> list[tuple[str, str]]:
    """Page and line of every command line in a block without language, continuation lines joined."""
    found = []
    for path in GUIDES:
        text = path.read_text("utf-8").replace("\\\n", " ")
        for block in blocks(text, ""):
            name = str(path.relative_to(ROOT))
            found += [
                (name, line.split(" #")[0].strip()) for line in block.splitlines() if re.search(r"\bqvl [a-z]", line)
            ]
    return found


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_name_real_commands_and_options(page: str, line: str) -> None:
    """Placeholders may stand for values; words and flags must be real."""
    words = ["qvl", *LINE.search(line)[1].split()]  # type: ignore[index]
    known = next((path for path in (tuple(words[:3]), tuple(words[:2])) if path in COMMANDS), None)
    assert known is not None or tuple(words[:2]) in {path[:2] for path in COMMANDS}, f"{page}: no command in {line}"
    if known is not None:
        said = re.findall(r"(?<=\s)--?[a-z][\w-]*", line.split("qvl ", 1)[1])
        assert set(said) <= options(COMMANDS[known]), f"{page}: {line}"
