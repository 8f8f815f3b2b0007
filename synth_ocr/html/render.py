"""Renders HTML jobs into outcomes. Runs in a child process, which the parent ends when a page takes too long."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from playwright.sync_api import Error

from qvl.synth_ocr.html.browser import shared_browser
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.fragments import Fragment, read_fragments
from qvl.synth_ocr.html.isolation import NotIsolated
from qvl.synth_ocr.html.lines import read_lines
from qvl.synth_ocr.html.responses import Job
from qvl.synth_ocr.page.evidence import Evidence, text_change, unlabelled_share
from qvl.synth_ocr.page.notes import BrowserNotes
from qvl.synth_ocr.page.page import Outcome, Page, PageRejected
from qvl.synth_ocr.page.rules import PageRules, encode_page, split_readable

CRASHED = "unreadable:page"
NOT_ISOLATED = "not_isolated"  # stops the run: it says nothing about the page, so the ledger never has it
LEAST_LEFT = 0.5  # of the screen's height that must be left when the bottom is cropped to the top of a line


@dataclass(frozen=True)
class PagesTask:
    """Pages of one unit, each with its view."""

    jobs: tuple[tuple[Job, View], ...]
    rules: PageRules


def render_pages(task: PagesTask) -> Iterator[Outcome]:
    """Every page in order, kept or with its reason.

    A browser that dies halfway says nothing about the page, so a CRASHED page is rendered once more in a new browser.
    """
    cv2.setNumThreads(1)
    for job, view in task.jobs:
        outcome = _outcome(job, view, task.rules)
        yield _outcome(job, view, task.rules) if outcome.verdict == CRASHED else outcome


def _outcome(job: Job, view: View, rules: PageRules) -> Outcome:
    """One page; an error of the browser closes it and gives ``unreadable:time`` or CRASHED."""
    try:
        return encode_page(job.key, read_page(job, view, rules), rules)
    except PageRejected as reason:
        return Outcome(job.key, str(reason))
    except NotIsolated:
        return Outcome(job.key, NOT_ISOLATED)
    except Error as error:
        shared_browser().close()
        return Outcome(job.key, "unreadable:time" if "Timeout" in str(error) else CRASHED)


def read_page(job: Job, view: View, rules: PageRules) -> Page:
    """Render one screen and verify its text. Raises PageRejected, NotIsolated and Playwright's errors."""
    browser = shared_browser()
    shot = browser.shoot(job, view)
    fragments = read_fragments(shot, view.scale)
    bottom = crop_height(fragments, shot.with_text.shape[0])
    image = np.ascontiguousarray(shot.with_text[:bottom])
    evidence = Evidence(text_change(image, np.ascontiguousarray(shot.without_text[:bottom])))
    lines, lost = read_lines(fragments, evidence)
    if not lines:
        raise PageRejected("no_visible_text" if evidence.ink.any() else "blank")
    kept, dropped = split_readable(lines, rules)
    lost = lost + dropped
    del lost["outside"], lost["empty"]
    notes = None if job.content or browser.isolation is None else BrowserNotes(isolation=browser.isolation)
    return Page(image, kept, unlabelled_share(kept, evidence), lost, shot.fonts, notes)


def crop_height(fragments: list[Fragment], height: int) -> int:
    """The picture's height: up to the first line that the bottom of the screen cuts, unless less than half would be left."""
    tops = [
        float(each.quad[:, 1].min()) for each in fragments if each.quad[:, 1].min() < height < each.quad[:, 1].max()
    ]
    cut = int(np.floor(min(tops, default=height)))
    return cut if cut >= LEAST_LEFT * height else height
