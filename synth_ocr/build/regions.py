"""The regions of an OCR sample: its lines, words and paragraphs with their quads."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from pydantic import JsonValue

from qvl.synth_ocr.page.geometry import Points, around, fractions, heading
from qvl.synth_ocr.page.page import Page

Level = Literal["line", "word", "paragraph"]


@dataclass(frozen=True, slots=True)
class OcrRegion:
    """A region as the sample's JSON holds it: its keys are the fields that are not None, in this order.

    ``quad`` and ``layout`` are eight fractions of width and height. ``order`` counts within each level. ``parent`` is the
    index of the line of a word, or of the paragraph of a line. The other fields describe lines only.
    """

    phrase: str
    image: int
    quad: list[float]
    level: Level
    order: int
    parent: int | None = None
    layout: list[float] | None = None  # from ascent to descent
    ink_share: float | None = None
    contrast: float | None = None  # 0..255
    pixel_height: float | None = None

    def content(self) -> dict[str, JsonValue]:
        """The region as the sample's JSON holds it."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}


def page_regions(page: Page, width: int, height: int) -> list[OcrRegion]:
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
            OcrRegion(word.text, 0, quad, "word", order, parent)
            for order, ((word, parent), quad) in enumerate(zip(words, quads, strict=True))
        ),
        *(
            OcrRegion(text, 0, quad, "paragraph", order)
            for order, (text, quad) in enumerate(_with_fractions(paragraphs, width, height))
        ),
    ]


def _line_regions(page: Page, first_paragraph: int, paragraphs: list[int], width: int, height: int) -> list[OcrRegion]:
    parents = {paragraph: first_paragraph + index for index, paragraph in enumerate(paragraphs)}
    quads = fractions([line.quad for line in page.lines], width, height)
    layouts = fractions([line.layout for line in page.lines], width, height)
    return [
        OcrRegion(
            line.text, 0, quad, "line", order, parents[line.paragraph], layout, round(line.ink_share, 3),
            round(line.contrast, 1), round(line.pixel_height, 1),
        )
        for order, (line, quad, layout) in enumerate(zip(page.lines, quads, layouts, strict=True))
    ]  # fmt: skip


def _with_fractions(texts: Sequence[tuple[str, Points]], width: int, height: int) -> list[tuple[str, list[float]]]:
    quads = fractions([quad for _, quad in texts], width, height)
    return [(text, quad) for (text, _), quad in zip(texts, quads, strict=True)]


def _paragraph(page: Page, numbers: list[int]) -> tuple[str, Points]:
    """The text and quad of the paragraph with these lines."""
    quads = [page.lines[number].quad for number in numbers]
    return "\n".join(page.lines[number].text for number in numbers), around(quads, heading(quads[0]))
