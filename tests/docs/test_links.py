"""Every link of every page leads somewhere, and the index leads to every page."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

GUIDES = sorted((ROOT / "docs").glob("*.md"))


def links(path: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def anchors(path: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in links(path):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("path", [p for p in GUIDES if p.name != "README.md"], ids=lambda path: path.name)
def test_the_index_leads_to_every_guide(path: Path) -> None:
    assert f"({path.name})" in (ROOT / "docs/README.md").read_text("utf-8")
