"""PDF traps: hidden text is not labelled, visible text is not lost."""

from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pymupdf
import pytest

from qvl.synth_ocr.page.geometry import heading, is_sound
from qvl.synth_ocr.page.page import Page, PageRejected
from qvl.synth_ocr.page.rules import PageRules
from qvl.synth_ocr.pdf.document import DocumentTask, read_document, read_page
from qvl.synth_ocr.pdf.engine import Engine, open_file
from tests.synth_ocr import trap_pdf as trap

LAX = PageRules(minimum_characters=1, unlabelled_ink=1.0, minimum_side=1)


@pytest.fixture(params=["mupdf", "pdfium"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every trap holds for both engines."""
    name: Engine = request.param
    return name


def read(doc: pymupdf.Document, engine: Engine, long_side: int = 800) -> Page:
    file = open_file(trap.saved(doc), engine)
    return read_page(next(iter(file.pages([0]))), long_side, LAX)


def texts(page: Page) -> list[str]:
    return [line.text for line in page.lines]


def verdicts(data: bytes, engine: Engine, rules: PageRules) -> list[str]:
    found = read_document(DocumentTask(data, None, 0, "doc", 800, rules, engine))
    return [each.verdict for each in found if not isinstance(each, list)]


def box(page: Page, text: str) -> tuple[float, float, float, float]:
    quad = next(line.quad for line in page.lines if line.text == text)
    (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
    return x0, y0, x1, y1


@pytest.mark.parametrize("name", trap.HIDING)
def test_text_when_hidden_is_not_labelled(name: str, engine: Engine) -> None:
    page = read(trap.document(trap.HIDING[name]), engine)
    assert texts(page) == [trap.GENUINE]
    assert page.unlabelled_ink < 0.01


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [False, True])
def test_boxes_when_the_page_is_turned_or_cropped_surround_the_ink(turn: int, crop: bool, engine: Engine) -> None:
    doc = trap.document()
    if crop:
        doc[0].set_mediabox(pymupdf.Rect(-50, -30, 400, 300))
        doc[0].set_cropbox(pymupdf.Rect(30, 20, 390, 290))
    doc[0].set_rotation(turn)
    page = read(doc, engine)
    assert texts(page) == [trap.GENUINE]
    dark = page.image.min(axis=2) < 128
    rows, columns = np.nonzero(dark)
    x0, y0, x1, y1 = box(page, trap.GENUINE)
    assert abs(x0 - columns.min()) <= 2 and abs(x1 - columns.max() - 1) <= 2
    assert abs(y0 - rows.min()) <= 2 and abs(y1 - rows.max() - 1) <= 2
    expected = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    assert heading(page.lines[0].quad) == pytest.approx(expected)
    assert is_sound(page.lines[0].quad)


def test_user_unit_scales_page_and_boxes_alike(engine: Engine) -> None:
    doc = trap.document()
    doc.xref_set_key(doc[0].xref, "UserUnit", "3")
    page = read(doc, engine)
    assert texts(page) == [trap.GENUINE] and page.unlabelled_ink < 0.01


def test_word_when_clipped_is_not_a_record(engine: Engine) -> None:
    page = read(trap.document(trap.half_clipped), engine)
    assert texts(page) == [trap.GENUINE]
    assert page.unlabelled_ink > 0.05


def test_text_when_drawn_twice_is_one_record(engine: Engine) -> None:
    page = read(trap.document(trap.false_bold), engine)
    assert texts(page) == [trap.GENUINE, "Twice drawn"]


def test_ligatures_are_expanded_and_soft_hyphens_are_labelled_as_drawn(engine: Engine) -> None:
    assert texts(read(trap.document(trap.ligatures), engine))[1] == "efficient fish"
    assert texts(read(trap.document(trap.soft_hyphen), engine))[1].rstrip("-") == "end of a hyphen"


def test_lines_keep_the_hyphens_that_are_drawn(engine: Engine) -> None:
    found = texts(read(trap.document(trap.hyphenated), engine))
    assert found == [trap.GENUINE, "a word that is hyphen-", "ated at a line's end"]


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (trap.equal_luminance, "Red upon green"), (trap.light_on_dark, "White on dark"), (trap.in_form, "Inside a form"),
        (trap.upwards, "Upwards line"), (trap.slanted, "Slanted line"),
    ],
)  # fmt: skip
def test_text_when_visible_is_labelled(draw: trap.Draw, text: str, engine: Engine) -> None:
    page = read(trap.document(draw), engine)
    assert texts(page) == [trap.GENUINE, text]
    assert page.unlabelled_ink < 0.01
    assert all(is_sound(line.quad) for line in page.lines)


def test_line_when_slanted_has_a_slanted_tight_quad(engine: Engine) -> None:
    page = read(trap.document(trap.slanted), engine)
    line = next(line for line in page.lines if line.text == "Slanted line")
    dx, dy = heading(line.quad)
    assert abs(abs(np.degrees(np.arctan2(dy, dx))) - 30) < 1.5
    assert line.pixel_height < 50


def test_cells_when_far_apart_are_two_records(engine: Engine) -> None:
    assert texts(read(trap.document(trap.cells), engine))[1:] == ["Left cell", "Right cell"]


@pytest.mark.parametrize("draw", [trap.annotation, trap.widget])
def test_annotations_are_neither_drawn_nor_labelled(draw: trap.Draw, engine: Engine) -> None:
    page = read(trap.document(draw), engine)
    assert texts(page) == [trap.GENUINE] and page.unlabelled_ink < 0.01


def test_type_three_fonts_do_not_make_giant_boxes(engine: Engine) -> None:
    page = read(trap.document(trap.type_three), engine)
    for line in page.lines:
        assert line.quad.min() >= -1 and line.quad.max() <= 801


def test_page_with_ink_that_has_no_text_is_rejected(engine: Engine) -> None:
    data = trap.saved(trap.document(trap.unknown_glyphs))
    assert verdicts(data, engine, PageRules(minimum_characters=1)) == ["unlabelled_ink"]


def test_scans_blank_pages_and_broken_files_are_verdicts(engine: Engine) -> None:
    assert verdicts(trap.saved(trap.document(trap.ocr_layer)), engine, LAX) == ["scanned"]
    blank = pymupdf.open()
    blank.new_page()
    assert verdicts(trap.saved(blank), engine, LAX) == ["blank"]
    assert verdicts(b"%PDF-1.7 nothing of the kind", engine, LAX) == ["unreadable:broken"]
    assert verdicts(b"", engine, LAX) == ["unreadable:broken"]
    locked = trap.saved(trap.document(), encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="u", owner_pw="o")
    assert verdicts(locked, engine, LAX) == ["unreadable:encrypted"]
    assert verdicts(trap.saved(trap.document(width=30_000, height=300)), engine, LAX) == ["page_size"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Zażółć gęślą", "latin_extended"), ("\uf6c5\uf6c5 private", "private_use"),
        ("see <box> here", "markup"),
    ],
)  # fmt: skip
def test_page_with_a_forbidden_character_is_rejected(text: str, verdict: str, engine: Engine) -> None:
    def draw(doc: pymupdf.Document, page: pymupdf.Page) -> None:
        page.insert_font(fontname="dj", fontfile="/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
        page.insert_text(trap.PLACE, text, fontname="dj", fontsize=20)

    data = trap.saved(trap.document(draw))
    assert verdicts(data, engine, PageRules(latin_extended=True, minimum_characters=1)) == [verdict]
    if verdict == "latin_extended":
        assert verdicts(data, engine, PageRules(minimum_characters=1)) == ["keep"]


def test_page_when_too_small_or_with_too_few_or_too_many_characters_is_rejected(engine: Engine) -> None:
    data = trap.saved(trap.document())
    assert verdicts(data, engine, PageRules(minimum_characters=200)) == ["too_few_characters"]
    assert verdicts(data, engine, PageRules(minimum_characters=1, maximum_characters=3)) == ["too_many_characters"]
    assert verdicts(data, engine, PageRules(minimum_side=700)) == ["too_small"]


def test_page_without_visible_text_is_rejected(engine: Engine) -> None:
    doc = pymupdf.open()
    trap.mode_three(doc, doc.new_page())
    with pytest.raises(PageRejected, match="no_visible_text"):
        read(doc, engine)


def test_cells_that_run_into_each_other_are_two_records(engine: Engine) -> None:
    page = read(trap.document(trap.cells_that_meet), engine)
    assert texts(page) in (
        [trap.GENUINE, "overlong-cell-text", "over"],
        [trap.GENUINE],  # or neither, if they overlap
    )
    assert len(page.lines) == 3 or page.unlabelled_ink > 0.05


def test_line_with_an_unknown_word_keeps_its_other_words(engine: Engine) -> None:
    page = read(trap.document(trap.one_unknown_word), engine)
    assert texts(page) == [trap.GENUINE, "Known words and"]
    assert page.lost["unknown_character"] == 1 and 0 < page.unlabelled_ink < 0.1


def test_actual_text_of_a_tagged_document_is_not_labelled(engine: Engine) -> None:
    page = read(trap.document(trap.actual_text), engine)
    assert texts(page) == [trap.GENUINE, "Drawn"] or (texts(page) == [trap.GENUINE] and page.unlabelled_ink > 0.05)


def test_hebrew_is_in_reading_order_with_its_first_word_on_the_right(engine: Engine) -> None:
    page = read(trap.document(trap.right_to_left), engine)
    words = page.lines[1].words
    assert [word.text for word in words] == ["שלום", "עולם"]
    assert words[0].quad[:, 0].min() > words[1].quad[:, 0].max()
    assert page.unlabelled_ink < 0.01


def test_both_engines_keep_the_same_text_of_a_real_document() -> None:
    path = Path("/usr/share/debian-reference/debian-reference.zh-cn.pdf")
    if not path.is_file():
        pytest.skip("no debian-reference-zh-cn: sh scripts/ocr_packages.sh")
    found: dict[str, list[str]] = {}
    for name in ("mupdf", "pdfium"):
        file = open_file(path.read_bytes(), name)  # type: ignore[arg-type]
        pages = [read_page(page, 1024, LAX) for page in file.pages([30, 60])]
        found[name] = ["".join("".join(texts(page)).split()) for page in pages]
        file.close()
    for first, second in zip(found["mupdf"], found["pdfium"], strict=True):
        assert SequenceMatcher(None, first, second, autojunk=False).ratio() > 0.97
