"""HTML jobs to outcomes. Runs in a child process, which the parent ends when a page takes too long."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from playwright.sync_api import Error

from qvl.synth_ocr.html.answers import Job
from qvl.synth_ocr.html.browser import shared
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.lines import read_lines
from qvl.synth_ocr.html.tree import Fragment, fragments
from qvl.synth_ocr.page.page import Outcome, Page, PageRejected
from qvl.synth_ocr.page.rules import PageRules, admit, finish
from qvl.synth_ocr.page.visible import Evidence, change_of, unlabelled

CRASHED = "unreadable:page"
LEAST_LEFT = 0.5  # of the screen's height: how far the bottom may be cropped to a line's top


@dataclass(frozen=True)
class PagesTask:
    """Pages of one unit, with a view each."""

    jobs: tuple[tuple[Job, View], ...]
    rules: PageRules


def render_pages(task: PagesTask) -> Iterator[Outcome]:
    """Every page in order, kept or with its reason."""
    cv2.setNumThreads(1)
    for job, view in task.jobs:
        outcome = _outcome(job, view, task.rules)
        yield _outcome(job, view, task.rules) if outcome.verdict == CRASHED else outcome


def _outcome(job: Job, view: View, rules: PageRules) -> Outcome:
    """A browser that ends in the middle says nothing about the page: who gets CRASHED asks once more, of a new one."""
    try:
        return finish(job.key, read_page(job, view, rules), rules)
    except PageRejected as reason:
        return Outcome(job.key, str(reason))
    except Error as error:
        shared().close()
        return Outcome(job.key, "unreadable:time" if "Timeout" in str(error) else CRASHED)


def read_page(job: Job, view: View, rules: PageRules) -> Page:
    """One screen, its text verified. Raises PageRejected and Playwright's errors."""
    shot = shared().shoot(job, view)
    pieces = fragments(shot, view.scale)
    bottom = crop_line(pieces, shot.with_text.shape[0])
    image = np.ascontiguousarray(shot.with_text[:bottom])
    evidence = Evidence(change_of(image, np.ascontiguousarray(shot.without[:bottom])))
    lines, lost = read_lines(pieces, evidence)
    if not lines:
        raise PageRejected("no_visible_text" if evidence.ink.any() else "blank")
    kept, dropped = admit(lines, rules)
    lost = lost + dropped
    del lost["outside"], lost["empty"]
    return Page(image, kept, unlabelled(kept, evidence), lost, shot.fonts)


def crop_line(pieces: list[Fragment], height: int) -> int:
    """Where the picture ends: above the first line that the screen's bottom cuts, unless that loses half of it."""
    tops = [
        float(piece.quad[:, 1].min()) for piece in pieces if piece.quad[:, 1].min() < height < piece.quad[:, 1].max()
    ]
    cut = int(np.floor(min(tops, default=height)))
    return cut if cut >= LEAST_LEFT * height else height
