"""What the tests of the documentation read: the pages, their code blocks and their tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page(name: str) -> str:
    """The text of a page, named from the root of the repository."""
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of one language, in order; ``""`` for those without."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def table_rows(text: str) -> dict[str, list[str]]:
    """Cells of every row of the page's tables, by the first word in backticks of the first cell."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\| `(\w+)`", line)
        if match:
            found[match[1]] = [cell.strip() for cell in line.strip("|").split("|")]
    return found
