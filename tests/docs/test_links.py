"""Every link in every page has a target, and the index links to every guide."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

GUIDES = sorted((ROOT / "docs").glob("*.md"))


def links(path: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def anchors(path: Path) -> set[str]:
    """The anchors of its headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page_when_followed_have_a_target(path: Path) -> None:
    for target in links(path):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("path", [p for p in GUIDES if p.name != "README.md"], ids=lambda path: path.name)
def test_guide_when_searched_in_the_index_is_linked(path: Path) -> None:
    assert f"({path.name})" in (ROOT / "docs/README.md").read_text("utf-8")
