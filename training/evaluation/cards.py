"""A sample on a page: its image with the regions drawn, the question, and the expected answer next to the given one."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from qvl.pipeline.html.elements import Html, tag, untrusted
from qvl.pipeline.html.pictures import Shape, framed
from qvl.pipeline.images.decode import UNREADABLE, opaque
from qvl.pipeline.markup import dialects, parsing
from qvl.pipeline.markup.coordinates import Box
from qvl.pipeline.markup.markers import MARKER
from qvl.training.evaluation.samples.sample import Answer, EvalSample
from qvl.training.evaluation.scoring import first_box

SIDE, PAGE_SIDE, QUALITY = 480, 900, 78
TEXT_LIMIT = 1500
REFERENCES = 5
PIECES = re.compile(r"\s+|[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")
REGIONS = re.compile(r"<(box|quad)>.*?</\1>")
LISTED = re.compile(r"(?:<(box|quad)>[^<]*</\1>)+(?=<ref>)")  # nothing but regions between two phrases
Corners = tuple[float, ...]


def card(sample: EvalSample, answer: Answer, value: float) -> Html:
    """One sample. Its last image is shown: the ones before it belong to examples."""
    regions = answer_regions(sample, answer)
    wanted = truth(sample)
    head = tag("p.soft", tag("span.value", f"{value:.3f}", attributes={"title": f"{sample.metric} of this sample"}),
               untrusted(question(sample), 240))  # fmt: skip
    pair = tag(
        "div.pair",
        tag("div", tag("h4.truth", "expected"), untrusted(wanted, TEXT_LIMIT)),
        tag("div", tag("h4.answered", "answered"), marked_answer(sample, answer, wanted)),
    )
    origin = tag("p.origin", untrusted(f"{sample.id} · {sample.group}"))
    return tag("article.card", picture(sample, regions.shapes()), head, pair, origin)


def question(sample: EvalSample) -> str:
    """The question without markup."""
    return MARKER.sub("", re.sub(r"<img>.*?</img>", "", sample.prompt)).strip()


def truth(sample: EvalSample) -> str:
    """The expected answer as it is shown: a box as its markup, other answers without tags."""
    if sample.metric == "box":
        return "".join(dialects.box(box) for box in sample.boxes)
    return "\n".join(_plain(text) for text in sample.answers[:REFERENCES])


def marked_answer(sample: EvalSample, answer: Answer, wanted: str) -> Html:
    """An answer; words that ``wanted`` does not contain are marked."""
    if answer.fault:
        return tag("span.soft", f"not asked: {answer.fault}")
    if not answer.text:
        return tag("span.soft", "(nothing)")
    if answer.likelihoods:
        pairs = zip(sample.options, answer.likelihoods, strict=True)
        return untrusted(f"{answer.text}\n" + "  ".join(f"{option}: {value:.2f}" for option, value in pairs))
    if sample.metric == "box":
        return untrusted(answer.text, TEXT_LIMIT)
    return _marked(_plain(answer.text)[:TEXT_LIMIT], wanted)


def _plain(text: str) -> str:
    """A text without tags, since its regions are drawn: OCR phrases on lines of their own, listed objects with commas."""
    phrases = [MARKER.sub("", phrase.text) for phrase in parsing.parse(text) if phrase.quads]
    if phrases:
        return "\n".join(phrases)
    listed = REGIONS.sub("", LISTED.sub(", ", text))
    return re.sub(r" +", " ", MARKER.sub("", listed)).strip()


def _marked(text: str, wanted: str) -> Html:
    """The text, with the words marked that ``wanted`` does not contain."""
    known = {piece.strip(".,;:!?\"'()").lower() for piece in PIECES.findall(wanted)}
    parts: list[str] = []
    for piece in PIECES.findall(text):
        bare = piece.strip(".,;:!?\"'()").lower()
        parts.append(piece if not bare or bare in known else tag("mark", piece))
    return tag("bdi", *parts, attributes={"dir": "auto"})


@dataclass(frozen=True, slots=True)
class AnswerRegions:
    """Corners, as fractions, of what the prompt points at, of the truth, and of the answer."""

    asked: Sequence[Corners]
    truth: Sequence[Corners]
    answered: Sequence[Corners]

    def shapes(self) -> list[Shape]:
        """All of them as outlines."""
        return [
            *(Shape(corners, "asked") for corners in self.asked),
            *(Shape(corners, "truth") for corners in self.truth),
            *(Shape(corners, "answered") for corners in self.answered),
        ]


def answer_regions(sample: EvalSample, answer: Answer) -> AnswerRegions:
    """The regions of a question, its truth and its answer."""
    asked = _regions(sample.prompt[sample.prompt.rfind("</img>") + 1 :])
    if sample.metric == "box":
        found = first_box(sample.prompt, answer.text)
        return AnswerRegions(asked, [_corners(box) for box in sample.boxes], [_corners(found)] if found else [])
    if sample.metric in ("grounded", "ocr"):
        return AnswerRegions(asked, _regions(sample.answers[0]), _regions(answer.text))
    return AnswerRegions(asked, [], [])


def _regions(text: str) -> list[Corners]:
    phrases = parsing.parse(text)
    boxes = [_corners(box) for phrase in phrases for box in phrase.boxes]
    return boxes + [quad for phrase in phrases for quad in phrase.quads]


def _corners(box: Box) -> Corners:
    x1, y1, x2, y2 = box
    return x1, y1, x2, y1, x2, y2, x1, y2


def picture(sample: EvalSample, shapes: Sequence[Shape], side: int | None = None) -> Html:
    """The last image, at most ``side`` pixels a side, with these shapes drawn over it."""
    if not sample.images:
        return tag("p.unseen", "no image")
    side = side or (PAGE_SIDE if sample.metric == "ocr" else SIDE)
    try:
        with Image.open(io.BytesIO(sample.images[-1].read())) as image:
            image.draft("RGB", (2 * side, 2 * side))
            small = opaque(image)
    except UNREADABLE as error:
        return tag("p.unseen", f"image not shown: {type(error).__name__}")
    small.thumbnail((side, side))
    return tag("div.drawn", framed(small, "WEBP", QUALITY, shapes))
