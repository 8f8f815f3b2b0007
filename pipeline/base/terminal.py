"""What commands print: every line passes through here, so that data cannot control the terminal.

Keys, captions, URLs and file names come from data. Printed as they are, an escape sequence in one of them could rewrite
earlier lines, change the title of the window or hide where a link leads; a newline could forge a line, and a bidirectional
control reorders what is read. Such characters are shown as Python writes them, for example ``\\x1b`` and ``\\u202e``.
Warnings have addresses without signed queries and passwords.

Tables and progress bars are printed by ``qvl.pipeline.base.screen``. Ruff refuses all other ways to print.
"""

import json
import re
import sys

from qvl.pipeline.base.addresses import without_secrets

# C0, DEL and C1; marks, embeddings, overrides and isolates of bidirectional text; line separators; surrogates of file names
CONTROLS = "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
IN_LINE, IN_TEXT = re.compile(f"[\n{CONTROLS}]"), re.compile(f"[{CONTROLS}]")


def visible(text: str) -> str:
    """The text on one line, with its control characters as escapes."""
    return IN_LINE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """The text with its control characters as escapes, except for its newlines."""
    return IN_TEXT.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def say(line: str) -> None:
    """Print one line on standard output."""
    _write(f"{visible(line)}\n")


def say_lines(text: str) -> None:
    """Print a text of several lines, none of whose newlines come from data, or a piece of a line without its end."""
    _write(visible_lines(text))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def warn(line: str) -> None:
    """Print one line on standard error."""
    sys.stderr.write(f"{visible(without_secrets(line))}\n")
    sys.stderr.flush()


def print_json(content: object) -> None:
    """Print a JSON value on one line of standard output. All characters that are not ASCII are escaped by JSON's rules.

    Values that JSON does not have, such as dates, are printed as texts.
    """
    _write(json.dumps(content, default=str) + "\n")


def has_terminal() -> bool:
    """Whether standard error, where progress is shown, is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
