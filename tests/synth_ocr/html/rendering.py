"""What the tests of HTML pages share: a lenient view of a page with one genuine line."""

from qvl.synth_ocr.html.browser import ORIGIN
from qvl.synth_ocr.html.capture import View
from qvl.synth_ocr.html.render import read_page
from qvl.synth_ocr.html.responses import Job
from qvl.synth_ocr.page.page import Page
from qvl.synth_ocr.page.rules import PageRules

LAX = PageRules(minimum_characters=1, unlabelled_ink=1.0, minimum_side=1, private_use=False)
VIEW = View(600, 400, 1.0, 5.0, True)
GENUINE = "Genuine line"


def job(body: str, head: str = "") -> Job:
    page = f"<!doctype html><meta charset=utf-8>{head}<body style='font:20px DejaVu Sans;margin:20px'><p>{GENUINE}</p>{body}"
    return Job("k", ORIGIN, "", {ORIGIN: ("text/html; charset=utf-8", page.encode())})


def read(body: str, head: str = "", view: View = VIEW) -> Page:
    return read_page(job(body, head), view, LAX)


def texts(page: Page) -> list[str]:
    return [line.text for line in page.lines]
