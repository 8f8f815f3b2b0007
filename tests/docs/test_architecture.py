"""ARCHITECTURE.md and the decisions name modules and folders that are there."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGES = [ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
FOLDERS = ("pipeline", "synth_ocr", "grounding_builder", "model", "training")
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


def named(path: Path) -> set[str]:
    return set(re.findall(r"`([a-z_0-9/]+\.py)`", path.read_text("utf-8")))


@pytest.mark.parametrize("path", [path for path in PAGES if named(path)], ids=lambda path: path.name)
def test_what_it_names_is_there(path: Path) -> None:
    tails = {"/".join(file.split("/")[start:]) for file in FILES for start in range(file.count("/") + 1)}
    assert named(path) - tails == set()


def test_every_inner_package_is_described() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    inner = {
        file.split("/")[1] for file in FILES if file.startswith(("pipeline/", "training/")) and file.count("/") > 1
    }
    assert [name for name in sorted(inner) if name not in text] == []
