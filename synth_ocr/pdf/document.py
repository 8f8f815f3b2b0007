# mypy: disable-error-code="no-untyped-call"
"""A PDF document to pages with verified lines (paper, section 5.5). Runs in a confined child process."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pymupdf
import xxhash

from synth_ocr.page import Outcome, Page, PageRejected, Pixels
from synth_ocr.pdf.layout import Frame, extract
from synth_ocr.pdf.visible import Evidence, change_of, judge, lines_of, unlabelled
from synth_ocr.rules import PageRules, admit, finish

SCAN_SHARE = 0.8  # of the page covered by images: with no visible text it is a scan
MAX_POINTS = 20_000.0  # longest side of a page in points (7 m)
FAULTS = (RuntimeError, ValueError, pymupdf.mupdf.FzErrorBase)


@dataclass(frozen=True)
class DocumentTask:
    """``most``: pages to read, chosen by ``seed`` and ``name``; None for all. ``long_side``: pixels of a rendered page."""

    data: bytes
    most: int | None
    seed: int
    name: str
    long_side: int
    rules: PageRules


def read_document(task: DocumentTask) -> Iterator[list[str] | Outcome]:
    """First the keys of the pages to come, then each page, kept or with its reason. One row for a broken document."""
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    pymupdf.TOOLS.unset_quad_corrections(True)
    try:
        document = _open(task.data)
    except PageRejected as reason:
        yield Outcome("", str(reason))
        return
    with document:
        asked = chosen_pages(document.page_count, task.most, task.seed, task.name)
        yield [_key(number) for number in asked]
        for number in asked:
            yield _outcome(document, number, task)
        pymupdf.TOOLS.store_shrink(100)


def chosen_pages(count: int, most: int | None, seed: int, name: str) -> list[int]:
    """At most ``most`` of ``count`` pages in order, the same for equal seed and name."""
    if most is None or count <= most:
        return list(range(count))
    ranked = sorted(range(count), key=lambda page: xxhash.xxh3_64_intdigest(f"{name} {page}".encode(), seed))
    return sorted(ranked[:most])


def _key(number: int) -> str:
    return f"p{number + 1:05d}"


def _open(data: bytes) -> pymupdf.Document:
    try:
        document = pymupdf.open(stream=data, filetype="pdf")
    except FAULTS:
        raise PageRejected("unreadable:broken") from None
    if document.needs_pass:
        raise PageRejected("unreadable:encrypted")
    if not document.page_count:
        raise PageRejected("unreadable:no_pages")
    return document


def _outcome(document: pymupdf.Document, number: int, task: DocumentTask) -> Outcome:
    key = _key(number)
    try:
        page = read_page(document[number], task.long_side, task.rules)
        return finish(key, page, task.rules)
    except PageRejected as reason:
        return Outcome(key, str(reason))
    except FAULTS:
        return Outcome(key, "unreadable:page")


def read_page(page: pymupdf.Page, long_side: int, rules: PageRules) -> Page:
    """One page, rendered, its text verified. Raises PageRejected."""
    longest = max(page.rect.width, page.rect.height)
    if not 0 < longest <= MAX_POINTS:
        raise PageRejected("page_size")
    zoom = long_side / longest
    if min(page.rect.width, page.rect.height) * zoom < rules.minimum_side:
        raise PageRejected("too_small")
    image = _render(page, zoom)
    pieces = extract(page, Frame(page.rotation_matrix, zoom))
    if not pieces:
        raise PageRejected(_without_text(image, _is_scan(page)))
    _remove_text(page)
    evidence = Evidence(change_of(image, _render(page, zoom)))
    lines, lost = lines_of(judge(pieces, evidence), evidence)
    if not lines:
        raise PageRejected("scanned" if _is_scan(page) else "no_visible_text")
    lines, dropped = admit(lines, rules)
    fonts = sorted({font[3].partition("+")[2] or font[3] for font in page.get_fonts()})
    return Page(image, lines, unlabelled(lines, evidence), lost + dropped, fonts)


def _render(page: pymupdf.Page, zoom: float) -> Pixels:
    """Without annotations: their text is not extracted either. [height, width, 3], RGB."""
    pixels = page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), alpha=False, annots=False, colorspace=pymupdf.csRGB)
    return np.frombuffer(pixels.samples, np.uint8).reshape(pixels.height, pixels.width, 3)


def _remove_text(page: pymupdf.Page) -> None:
    """Take all text away and nothing else, wherever it lies. Raises PageRejected where some stays."""
    left, top, right, bottom = page.mediabox
    frame = pymupdf.Rect(left - MAX_POINTS, top - MAX_POINTS, right + MAX_POINTS, bottom + MAX_POINTS)
    for annotation in list(page.annots()):
        page.delete_annot(annotation)
    for widget in list(page.widgets()):
        page.delete_widget(widget)
    page.add_redact_annot(frame)
    page.apply_redactions(images=0, graphics=0, text=0)
    if page.get_text("text", flags=0).strip():
        raise PageRejected("text_stays")


def _is_scan(page: pymupdf.Page) -> bool:
    """Whether one image covers most of the page."""
    whole = abs(page.rect)
    boxes = [pymupdf.Rect(info["bbox"]) * page.rotation_matrix for info in page.get_image_info()]
    return max((abs(box & page.rect) / whole for box in boxes), default=0.0) > SCAN_SHARE


def _without_text(image: Pixels, scanned: bool) -> str:
    if scanned:
        return "scanned"
    return "blank" if int(image.max()) == int(image.min()) else "no_text"
