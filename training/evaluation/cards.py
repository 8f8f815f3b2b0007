"""Samples as they are shown: picture with places drawn, question, what was wanted beside what was answered."""

import base64
import io
import re
from collections.abc import Iterable

from PIL import Image

from qvl.pipeline.html.elements import Html, foreign, join, tag
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
PLACES = re.compile(r"<(box|quad)>.*?</\1>")
LISTED = re.compile(r"(?:<(box|quad)>[^<]*</\1>)+(?=<ref>)")  # nothing but places between two phrases
Corners = tuple[float, ...]


def card(sample: EvalSample, answer: Answer, value: float) -> Html:
    """One sample. Its last image is shown: those before it belong to examples."""
    asked, truths, said = places(sample, answer)
    question = asks(sample)
    wanted = truth(sample)
    head = tag("p.soft", tag("span.value", f"{value:.3f}", attributes={"title": f"{sample.metric} of this sample"}),
               foreign(question, 240))  # fmt: skip
    pair = tag(
        "div.pair",
        tag("div", tag("h4.truth", "wanted"), foreign(wanted, TEXT_LIMIT)),
        tag("div", tag("h4.said", "answered"), answered(sample, answer, wanted)),
    )
    return tag("article.card", picture(sample, asked, truths, said), tag("div.body", head, pair,
               tag("p.soft", foreign(f"{sample.id} · {sample.group}"))))  # fmt: skip


def asks(sample: EvalSample) -> str:
    """The question without markup."""
    return MARKER.sub("", re.sub(r"<img>.*?</img>", "", sample.prompt)).strip()


def truth(sample: EvalSample) -> str:
    """What was wanted, as it is shown: a box as its markup, other answers without tags."""
    if sample.metric == "box":
        return "".join(dialects.box(box) for box in sample.boxes)
    return "\n".join(_plain(text) for text in sample.answers[:REFERENCES])


def answered(sample: EvalSample, answer: Answer, wanted: str) -> Html:
    """An answer, the words marked that ``wanted`` does not have."""
    if answer.fault:
        return tag("span.soft", f"not asked: {answer.fault}")
    if not answer.text:
        return tag("span.soft", "(nothing)")
    if answer.likelihoods:
        pairs = zip(sample.options, answer.likelihoods, strict=True)
        return foreign(f"{answer.text}\n" + "  ".join(f"{option}: {value:.2f}" for option, value in pairs))
    if sample.metric == "box":
        return foreign(answer.text, TEXT_LIMIT)
    return _marked(_plain(answer.text)[:TEXT_LIMIT], wanted)


def _plain(text: str) -> str:
    """A text without tags, their places are drawn: OCR one phrase per line, listed objects with commas between them."""
    phrases = [MARKER.sub("", phrase.text) for phrase in parsing.parse(text) if phrase.quads]
    if phrases:
        return "\n".join(phrases)
    listed = PLACES.sub("", LISTED.sub(", ", text))
    return re.sub(r" +", " ", MARKER.sub("", listed)).strip()


def _marked(text: str, wanted: str) -> Html:
    """Words that the truth does not have are marked."""
    known = {piece.strip(".,;:!?\"'()").lower() for piece in PIECES.findall(wanted)}
    parts: list[str] = []
    for piece in PIECES.findall(text):
        bare = piece.strip(".,;:!?\"'()").lower()
        parts.append(piece if not bare or bare in known else tag("mark", piece))
    return tag("bdi", *parts, attributes={"dir": "auto"})


def places(sample: EvalSample, answer: Answer) -> tuple[list[Corners], list[Corners], list[Corners]]:
    """What the prompt points at, what is true, what was answered: corners as fractions."""
    question = sample.prompt[sample.prompt.rfind("</img>") + 1 :]
    asked = _regions(question)
    if sample.metric == "box":
        found = first_box(sample.prompt, answer.text)
        return asked, [_corners(box) for box in sample.boxes], [_corners(found)] if found else []
    if sample.metric in ("grounded", "ocr"):
        return asked, _regions(sample.answers[0]), _regions(answer.text)
    return asked, [], []


def _regions(text: str) -> list[Corners]:
    phrases = parsing.parse(text)
    boxes = [_corners(box) for phrase in phrases for box in phrase.boxes]
    return boxes + [quad for phrase in phrases for quad in phrase.quads]


def _corners(box: Box) -> Corners:
    x1, y1, x2, y2 = box
    return x1, y1, x2, y1, x2, y2, x1, y2


def picture(
    sample: EvalSample, asked: list[Corners], truths: list[Corners], said: list[Corners], side: int | None = None
) -> Html:
    """The last image, at most ``side`` pixels a side, with these places drawn over it."""
    if not sample.images:
        return tag("div.picture", tag("p.none", "no image"))
    side = side or (PAGE_SIDE if sample.metric == "ocr" else SIDE)
    try:
        with Image.open(io.BytesIO(sample.images[-1].read())) as image:
            image.draft("RGB", (2 * side, 2 * side))
            small = opaque(image)
    except UNREADABLE as error:
        return tag("div.picture", tag("p.none", f"image not shown: {type(error).__name__}"))
    small.thumbnail((side, side))
    target = io.BytesIO()
    small.save(target, "WEBP", quality=QUALITY)
    source = f"data:image/webp;base64,{base64.b64encode(target.getvalue()).decode()}"
    sides = {"width": str(small.width), "height": str(small.height)}
    shapes = [*_drawn(asked, "asked"), *_drawn(truths, "truth"), *_drawn(said, "said")]
    drawing = tag(
        "svg", *shapes, attributes={"viewBox": "0 0 1 1", "preserveAspectRatio": "none", "aria-hidden": "true"}
    )
    image_tag = tag("img", attributes={"src": source, "alt": "", "loading": "lazy", **sides})
    return tag("div.picture", tag("div.frame", image_tag, drawing if shapes else join([])))


def _drawn(places: Iterable[Corners], kind: str) -> list[Html]:
    shapes = []
    for corners in places:
        clamped = [min(1.0, max(0.0, value)) for value in corners]
        points = " ".join(f"{x:.4f},{y:.4f}" for x, y in zip(clamped[::2], clamped[1::2], strict=True))
        shapes.append(tag(f"polygon.{kind}", attributes={"points": points}))
    return shapes
