"""The training report in a real browser: every curve is drawn, nothing is asked for, hostile names stay text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from qvl.training.loop.records import ScoreLine
from qvl.training.pages.report.page import write_report
from tests.browser import needs_browser
from tests.shared import HANG
from tests.training.made_run import step_line, write_lines, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


HOSTILE = "<img src=x onerror=\"document.title='owned'\"></script><b>&lt;"
pytestmark = needs_browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import random

    run = write_run(tmp_path_factory.mktemp("run"), {"pretrain": 700, "multitask": 40, "sft": 1})
    noise = random.Random(1)
    lines = [step_line("multitask", step, 40, noise) for step in range(40)]
    lines = [replace(line, loss_by_source={HOSTILE: (40.0, 20), "plain": (30.0, 20)}) for line in lines]
    write_lines(run / "multitask" / "log.jsonl", lines)
    write_lines(run / "multitask" / "eval.jsonl", [ScoreLine(9, HOSTILE, {"cider": 3.0})])
    return write_report(run)


def opened(browser: Browser, file: Path, width: int, scheme: Literal["light", "dark"]) -> tuple[Page, list[Any]]:
    """The page with every chart drawn, and whatever went wrong or was asked for."""
    page, wrong = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme), list[Any]()
    page.set_default_timeout(HANG * 1_000)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request", lambda request: wrong.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    page.goto(file.as_uri())
    for place in page.query_selector_all("[data-chart]"):
        place.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart]')].every((box) => box.querySelector('.main-svg'))"
    )
    return page, wrong


@pytest.mark.parametrize(("width", "scheme"), [(1250, "light"), (400, "dark")])
def test_every_curve_is_drawn_and_nothing_is_asked_for(
    browser: Browser, page_file: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page, wrong = opened(browser, page_file, width, scheme)
    assert wrong == []
    assert page.title() == "made <run>: training report"
    empty = page.evaluate(
        "[...document.querySelectorAll('[data-chart]')].filter((box) => !box.querySelector('.trace path'))"
        ".map((box) => box.dataset.chart)"
    )
    assert empty == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    dotted = page.evaluate("document.querySelectorAll('[data-chart=\"pretrain|loss\"] .shapelayer path').length")
    assert dotted == 1
    page.close()


def test_hostile_names_stay_text(browser: Browser, page_file: Path) -> None:
    page, wrong = opened(browser, page_file, 1250, "light")
    assert wrong == [] and "owned" not in page.title()
    legend = page.evaluate(
        "[...document.querySelectorAll('[data-chart=\"multitask|by_source\"] .legendtext')].map((each) => each.textContent)"
    )
    assert legend == [HOSTILE, "plain"]
    assert page.query_selector_all("main img, main b img") == []
    page.close()
