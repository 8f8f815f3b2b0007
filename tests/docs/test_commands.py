"""Every command and option is documented, and every command and option in the documentation exists."""

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


def test_page_of_commands_when_generated_again_is_unchanged() -> None:
    generated = reference.reference()
    assert reference.PAGE.read_text("utf-8") == generated, "run: python -m tests.docs.reference"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_when_searched_in_the_guides_is_explained(words: tuple[str, ...]) -> None:
    """With its full name, in a page other than the one that is generated from --help."""
    assert any(" ".join(words) in path.read_text("utf-8") for path in GUIDES)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_and_its_options_when_listed_have_a_help_text(words: tuple[str, ...]) -> None:
    assert COMMANDS[words].help
    assert [each.name for each in COMMANDS[words].params if not each.help] == []


def command_lines() -> list[tuple[str, str]]:
    """The page and the text of every command line in a block without a language; continuation lines are joined."""
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
def test_command_line_of_a_page_when_parsed_names_real_commands_and_options(page: str, line: str) -> None:
    """Values may be placeholders; commands and options must exist."""
    words = ["qvl", *LINE.search(line)[1].split()]  # type: ignore[index]
    known = next((path for path in (tuple(words[:3]), tuple(words[:2])) if path in COMMANDS), None)
    assert known is not None or tuple(words[:2]) in {path[:2] for path in COMMANDS}, f"{page}: no command in {line}"
    if known is not None:
        flags = re.findall(r"(?<=\s)--?[a-z][\w-]*", line.split("qvl ", 1)[1])
        assert set(flags) <= options(COMMANDS[known]), f"{page}: {line}"
