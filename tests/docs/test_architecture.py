"""Modules, rooms and functions that ARCHITECTURE.md and the decisions name exist."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PAGES = [ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]
FOLDERS = ("pipeline", "synth_ocr", "grounding_builder", "model", "training", "tests")
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


def named(path: Path) -> set[str]:
    return set(re.findall(r"`([a-z_0-9/]+\.py)`", path.read_text("utf-8")))


@pytest.mark.parametrize("path", [path for path in PAGES if named(path)], ids=lambda path: path.name)
def test_modules_named_in_a_page_when_looked_up_exist(path: Path) -> None:
    tails = {"/".join(file.split("/")[start:]) for file in FILES for start in range(file.count("/") + 1)}
    assert named(path) - tails == set()


def test_rooms_in_the_tree_when_listed_are_described() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rooms = {file.split("/")[1] for file in FILES if file.count("/") > 1 and not file.startswith("tests/")}
    assert [name for name in sorted(rooms) if f"`{name}`" not in text] == []


def steps() -> list[tuple[str, str]]:
    """The file and the function, class or method of every step of the three walks."""
    text = " ".join((ROOT / "ARCHITECTURE.md").read_text("utf-8").split())
    return re.findall(r"`([a-z_0-9/]+\.py)` `([\w.]+)`", text)


@pytest.mark.parametrize(("file", "name"), steps())
def test_step_of_a_walk_when_looked_up_is_in_the_file_that_it_names(file: str, name: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    for part in name.split("."):
        assert re.search(rf"^ *(?:def|class) {part}\b", text, re.MULTILINE), f"{file} has no {part}"


def test_walks_when_parsed_have_steps() -> None:
    assert len(steps()) >= 12
