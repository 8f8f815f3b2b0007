"""Read the pages of the documentation, their code blocks and their tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page(name: str) -> str:
    """The text of a page, by its path from the root of the repository."""
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks in one language, in order; ``""`` means blocks without a language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def table_rows(text: str) -> dict[str, list[str]]:
    """The cells of every table row whose first cell begins with a name in backticks, by that name."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\| `(\w+)`", line)
        if match:
            found[match[1]] = [cell.strip() for cell in line.strip("|").split("|")]
    return found
