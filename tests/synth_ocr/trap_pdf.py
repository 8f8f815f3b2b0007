"""PDF pages made by PyMuPDF with one trap each. Every page has the genuine line "Genuine words stay here"."""

from collections.abc import Callable

import pymupdf

GENUINE = "Genuine words stay here"
HIDDEN = "HIDDEN TEXT"
PLACE = pymupdf.Point(60, 150)
Draw = Callable[[pymupdf.Document, pymupdf.Page], None]


def document(draw: Draw | None = None, width: float = 400, height: float = 300) -> pymupdf.Document:
    doc = pymupdf.open()
    page = doc.new_page(width=width, height=height)
    page.insert_text((60, 80), GENUINE, fontsize=20)
    if draw:
        draw(doc, page)
    return doc


def saved(doc: pymupdf.Document, **options: object) -> bytes:
    return bytes(doc.tobytes(**options))


def raw(doc: pymupdf.Document, page: pymupdf.Page, content: bytes, resources: str = "") -> None:
    """Append operators to the page's content, which can use the font ``/helv``."""
    xref = page.get_contents()[-1]
    doc.update_stream(xref, doc.xref_stream(xref) + b"\n" + content)
    if resources:
        key, value = resources.split(" ", 1)
        doc.xref_set_key(page.xref, f"Resources/{key}", value)


def mode_three(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, HIDDEN, fontsize=20, render_mode=3)


def white(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, HIDDEN, fontsize=20, color=(1, 1, 1))


def near_white(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, HIDDEN, fontsize=20, color=(0.97, 0.97, 0.97))


def under_rectangle(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, HIDDEN, fontsize=20)
    page.draw_rect((50, 120, 300, 170), fill=(0.4, 0.6, 0.8))


def under_image(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, HIDDEN, fontsize=20)
    pixels = pymupdf.Pixmap(pymupdf.csRGB, (0, 0, 83, 31), False)
    for y in range(31):
        for x in range(83):
            pixels.set_pixel(x, y, ((x * 37 + y * 91) % 256, (x * 13) % 256, (y * 29) % 256))
    page.insert_image((50, 120, 300, 170), pixmap=pixels, keep_proportion=False)


def transparent(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, HIDDEN, fontsize=20, fill_opacity=0, stroke_opacity=0)


def outside_crop(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text((60, 290), HIDDEN, fontsize=20)
    page.set_cropbox(pymupdf.Rect(20, 20, 390, 250))


def clipped_away(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    raw(doc, page, b"q 0 0 10 10 re W n BT /helv 20 Tf 60 150 Td (HIDDEN TEXT) Tj ET Q")


def layer_off(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, HIDDEN, fontsize=20, oc=doc.add_ocg("off", on=False))


HIDING: dict[str, Draw] = {
    draw.__name__: draw
    for draw in (
        mode_three, white, near_white, under_rectangle, under_image, transparent, outside_crop, clipped_away, layer_off
    )
}  # fmt: skip


def half_clipped(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    raw(doc, page, b"q 0 0 117 300 re W n BT /helv 20 Tf 60 150 Td (HALFCUTWORD) Tj ET Q")


def false_bold(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    for shift in (0.0, 0.7):
        page.insert_text((60 + shift, 150), "Twice drawn", fontsize=20)


def ligatures(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_font(fontname="dj", fontfile="/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    page.insert_text(PLACE, "e\ufb03cient \ufb01sh", fontname="dj", fontsize=20)


def soft_hyphen(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_font(fontname="dj", fontfile="/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    page.insert_text(PLACE, "end of a hyphen\u00ad", fontname="dj", fontsize=20)


def hyphenated(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text(PLACE, "a word that is hyphen-", fontsize=20)
    page.insert_text((60, 176), "ated at a line's end", fontsize=20)


def slanted(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text((60, 250), "Slanted line", fontsize=20, morph=(pymupdf.Point(60, 250), pymupdf.Matrix(30)))


def upwards(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_text((350, 260), "Upwards line", fontsize=20, rotate=90)


def equal_luminance(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.draw_rect((50, 120, 300, 170), fill=(0, 0.51, 0), color=None)
    page.insert_text(PLACE, "Red upon green", fontsize=20, color=(1, 0, 0))


def light_on_dark(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.draw_rect((50, 120, 300, 170), fill=(0.1, 0.1, 0.3))
    page.insert_text(PLACE, "White on dark", fontsize=20, color=(1, 1, 1))


def in_form(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    other = pymupdf.open()
    other.new_page(width=200, height=50).insert_text((10, 30), "Inside a form", fontsize=20)
    page.show_pdf_page(pymupdf.Rect(60, 130, 260, 180), other, 0)


def cells(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    for number, word in enumerate(("Left cell", "Right cell")):
        page.insert_text((60 + 200 * number, 150), word, fontsize=16)


def annotation(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.add_freetext_annot((60, 130, 300, 170), "ANNOTATED TEXT", fontsize=20)


def widget(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    field = pymupdf.Widget()
    field.field_name, field.field_type = "f", pymupdf.PDF_WIDGET_TYPE_TEXT
    field.rect, field.field_value = pymupdf.Rect(60, 130, 300, 170), "WIDGET TEXT"
    page.add_widget(field)


def type_three(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    glyph = doc.get_new_xref()
    doc.update_object(glyph, "<<>>")
    doc.update_stream(glyph, b"1000 0 0 0 750 750 d1 0 0 750 750 re f")
    font = doc.get_new_xref()
    doc.update_object(
        font,
        f"<</Type/Font/Subtype/Type3/FontBBox[0 0 0 0]/FontMatrix[0.001 0 0 0.001 0 0]/CharProcs<</A {glyph} 0 R>>"
        "/Encoding<</Type/Encoding/Differences[65/A]>>/FirstChar 65/LastChar 65/Widths[1000]>>",
    )
    doc.xref_set_key(page.xref, "Resources", f"<</Font<</T3 {font} 0 R/helv {page.get_fonts()[0][0]} 0 R>>>>")
    raw(doc, page, b"BT /T3 20 Tf 60 150 Td (AAAA) Tj ET")


def unknown_glyphs(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    """A font without a map to Unicode: ink for which there is no text."""
    page.insert_font(fontname="dj", fontfile="/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    page.insert_text(PLACE, "Nobody knows these", fontname="dj", fontsize=20)
    for xref in range(1, doc.xref_length()):
        if doc.xref_get_key(xref, "ToUnicode")[0] == "xref":
            doc.xref_set_key(xref, "ToUnicode", "null")


def ocr_layer(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    pixels = page.get_pixmap(dpi=100)
    page.clean_contents()
    doc.update_stream(page.get_contents()[0], b" ")
    page.insert_image(page.rect, pixmap=pixels)
    page.insert_text((60, 80), GENUINE, fontsize=20, render_mode=3)


def cells_that_meet(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    """A table whose long word runs into the line of the next cell, as happens in real documents."""
    page.insert_text((60, 150), "overlong-cell-text", fontsize=16)
    page.insert_text((150, 160), "over", fontsize=16)


def one_unknown_word(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    """A line whose last word cannot be mapped to Unicode."""
    page.insert_text((60, 150), "Known words and", fontsize=20)
    page.insert_font(fontname="dj", fontfile="/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
    page.insert_text((225, 150), "\u21a9", fontname="dj", fontsize=20)
    for xref in range(1, doc.xref_length()):
        if doc.xref_get_key(xref, "ToUnicode")[0] == "xref":
            doc.xref_set_key(xref, "ToUnicode", "null")


def actual_text(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    """A tagged document that states other text than it shows."""
    raw(doc, page, b"/Span <</ActualText (SPOKEN)>> BDC BT /helv 20 Tf 60 150 Td (Drawn) Tj ET EMC")


def right_to_left(doc: pymupdf.Document, page: pymupdf.Page) -> None:
    page.insert_htmlbox(
        (60, 120, 340, 170), "<p dir=rtl style='font-size:20px'>\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd</p>"
    )
