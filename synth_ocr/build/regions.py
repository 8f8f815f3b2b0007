"""The regions of an OCR sample: its lines, words and paragraphs with their quads."""

from collections.abc import Sequence

from qvl.pipeline.markup.coordinates import Quad
from qvl.pipeline.markup.regions import Region
from qvl.synth_ocr.page.geometry import Points, around, fractions, heading
from qvl.synth_ocr.page.page import Page


def page_regions(page: Page, width: int, height: int) -> list[Region]:
    """Lines in reading order, then their words, then paragraphs."""
    members: dict[int, list[int]] = {}
    for number, line in enumerate(page.lines):
        members.setdefault(line.paragraph, []).append(number)
    words = [(word, number) for number, line in enumerate(page.lines) for word in line.words]
    paragraphs = [_paragraph(page, numbers) for numbers in members.values()]
    quads = fractions([word.quad for word, _ in words], width, height)
    return [
        *_line_regions(page, len(page.lines) + len(words), list(members), width, height),
        *(
            Region(word.text, 0, quad=quad, level="word", order=order, parent=parent)
            for order, ((word, parent), quad) in enumerate(zip(words, quads, strict=True))
        ),
        *(
            Region(text, 0, quad=quad, level="paragraph", order=order)
            for order, (text, quad) in enumerate(_with_fractions(paragraphs, width, height))
        ),
    ]


def _line_regions(page: Page, first_paragraph: int, paragraphs: list[int], width: int, height: int) -> list[Region]:
    parents = {paragraph: first_paragraph + index for index, paragraph in enumerate(paragraphs)}
    quads = fractions([line.quad for line in page.lines], width, height)
    layouts = fractions([line.layout for line in page.lines], width, height)
    return [
        Region(
            line.text, 0, quad=quad, level="line", order=order, parent=parents[line.paragraph], layout=layout,
            ink_share=round(line.ink_share, 3), contrast=round(line.contrast, 1), pixel_height=round(line.pixel_height, 1),
        )
        for order, (line, quad, layout) in enumerate(zip(page.lines, quads, layouts, strict=True))
    ]  # fmt: skip


def _with_fractions(texts: Sequence[tuple[str, Points]], width: int, height: int) -> list[tuple[str, Quad]]:
    quads = fractions([quad for _, quad in texts], width, height)
    return [(text, quad) for (text, _), quad in zip(texts, quads, strict=True)]


def _paragraph(page: Page, numbers: list[int]) -> tuple[str, Points]:
    """The text and quad of the paragraph with these lines."""
    quads = [page.lines[number].quad for number in numbers]
    return "\n".join(page.lines[number].text for number in numbers), around(quads, heading(quads[0]))
