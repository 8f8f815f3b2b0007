"""From a PDF document to pages with verified lines (paper, section 5.5). Runs in a confined child process."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import xxhash

from qvl.synth_ocr.page.evidence import Evidence, text_change, unlabelled_share
from qvl.synth_ocr.page.page import Outcome, Page, PageRejected, Pixels
from qvl.synth_ocr.page.rules import PageRules, encode_page, split_readable
from qvl.synth_ocr.page.visibility import group_into_lines, judge_words
from qvl.synth_ocr.pdf.engine import Engine, PdfPage, open_file

MAX_POINTS = 20_000.0  # longest side of a page in points (7 m)


@dataclass(frozen=True)
class DocumentTask:
    """``most``: how many pages to read, chosen by ``seed`` and ``name``; None for all. ``long_side``: in pixels."""

    data: bytes
    most: int | None
    seed: int
    name: str
    long_side: int
    rules: PageRules
    engine: Engine = "mupdf"


def read_document(task: DocumentTask) -> Iterator[list[str] | Outcome]:
    """First the keys of all pages to come, then each page, kept or with its reason. A broken document is one row."""
    cv2.setNumThreads(1)
    try:
        document = open_file(task.data, task.engine)
    except PageRejected as reason:
        yield Outcome("", str(reason))
        return
    numbers = choose_pages(document.count, task.most, task.seed, task.name)
    yield [_key(number) for number in numbers]
    for number, page in zip(numbers, document.pages(numbers), strict=True):
        yield _outcome(page, _key(number), task, document.faults)
    document.close()


def choose_pages(count: int, most: int | None, seed: int, name: str) -> list[int]:
    """At most ``most`` of ``count`` page numbers in order, always the same for equal seed and name."""
    if most is None or count <= most:
        return list(range(count))
    ranked = sorted(range(count), key=lambda page: xxhash.xxh3_64_intdigest(f"{name} {page}".encode(), seed))
    return sorted(ranked[:most])


def _key(number: int) -> str:
    return f"p{number + 1:05d}"


def _outcome(page: PdfPage, key: str, task: DocumentTask, faults: tuple[type[Exception], ...]) -> Outcome:
    try:
        return encode_page(key, read_page(page, task.long_side, task.rules), task.rules)
    except PageRejected as reason:
        return Outcome(key, str(reason))
    except faults:
        return Outcome(key, "unreadable:page")


def read_page(page: PdfPage, long_side: int, rules: PageRules) -> Page:
    """Render one page and verify its text. Raises PageRejected and the engine's faults."""
    width, height = page.width, page.height
    if not 0 < max(width, height) <= MAX_POINTS:
        raise PageRejected("page_size")
    zoom = long_side / max(width, height)
    if min(width, height) * zoom < rules.minimum_side:
        raise PageRejected("too_small")
    image = page.render(zoom)
    words = page.words(zoom)
    if not words:
        raise PageRejected(_without_text(image, page.is_scan()))
    page.remove_text()
    evidence = Evidence(text_change(image, page.render(zoom)))
    lines, lost = group_into_lines(judge_words(words, evidence), evidence)
    if not lines:
        raise PageRejected("scanned" if page.is_scan() else "no_visible_text")
    lines, dropped = split_readable(lines, rules)
    return Page(image, lines, unlabelled_share(lines, evidence), lost + dropped, page.fonts())


def _without_text(image: Pixels, scanned: bool) -> str:
    """Why a page has no text."""
    if scanned:
        return "scanned"
    return "blank" if int(image.max()) == int(image.min()) else "no_text"
