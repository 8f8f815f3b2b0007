"""The page and its JSON: whole, self-contained, the same in every run, and free of this machine's paths."""

import html.parser
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from qvl.pipeline.base.errors import ContractError
from qvl.pipeline.base.progress import RunProgress
from qvl.pipeline.commit.layout import Layout
from qvl.pipeline.recipe.recipe import Recipe
from qvl.pipeline.report.page import portable, write_report
from tests.pipeline.report.conftest import FILTERS, Run

SECTIONS = ["funnel", "table2", "mix", "filters", "duplicates", "faults", "reproduce"]


def written(run: Run, recipe: Recipe | None) -> tuple[str, dict[str, Any]]:
    with RunProgress() as progress:
        page = write_report(run.out, progress, recipe)
    assert page == run.out / "report.html"
    return page.read_text("utf-8"), orjson.loads((run.out / "report.json").read_bytes())


class Reader(html.parser.HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_all_sections_and_nothing_from_elsewhere(finished: Run) -> None:
    page, _ = written(finished, finished.recipe)
    found = Reader(page).found
    assert [attributes["id"] for tag, attributes in found if tag == "section"] == SECTIONS
    targets = {attributes.get("id") for _, attributes in found}
    links = [attributes["href"] for tag, attributes in found if tag == "a"]
    assert all(link is not None and link.removeprefix("#") in targets for link in links)
    sources = [attributes["src"] for tag, attributes in found if "src" in attributes]
    assert sources and all(source is not None and source.startswith("data:image/webp") for source in sources)
    assert sum("Copyright 2012-" in part and "Plotly, Inc" in part for part in page.split("<script>")) == 1


def test_the_json_holds_the_same_figures_and_no_picture(finished: Run) -> None:
    _, report = written(finished, finished.recipe)
    assert report["rows"] == 18
    assert [each["word"] for each in report["filters"] if each["word"] != "markup"] == list(FILTERS)
    assert report["duplicates"][0]["largest"][0]["size"] == 3
    assert report["faults"] == {"unreadable:no_image": {"two": 1}}
    rows = report["table2"]["rows"]
    assert rows[0]["paper"] is None
    assert rows[1]["paper"] == {
        "dataset": "Coyo",
        "original": 700_000_000,
        "cleaned": 200_000_000,
        "remaining": 0.285714,
    }
    assert b"data:image" not in (finished.out / "report.json").read_bytes()


def test_the_same_in_every_run_and_free_of_paths(finished: Run, tmp_path: Path) -> None:
    first, _ = written(finished, finished.recipe)
    again, _ = written(finished, finished.recipe)
    assert first == again
    assert str(finished.out.parent) not in first
    assert "image_folder" not in str(portable(finished.recipe))


def test_without_the_recipe_there_are_no_pictures_and_the_page_says_why(finished: Run) -> None:
    page, report = written(finished, None)
    assert not any(tag == "img" for tag, _ in Reader(page).found)
    assert "recipe is needed to find the picture" in page
    assert report["rows"] == 18


def test_the_policy_names_the_two_scripts_by_hash(finished: Run) -> None:
    page, _ = written(finished, finished.recipe)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert policy[1].count("sha256-") == 2 and "unsafe-eval" not in policy[1]


def test_an_unfinished_run_is_an_error(tmp_path: Path) -> None:
    with RunProgress() as progress, pytest.raises(ContractError, match="no finished run"):
        write_report(tmp_path, progress)
    assert not Layout(tmp_path).report.exists()
