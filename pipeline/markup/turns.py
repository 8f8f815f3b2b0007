"""The prompts and answers of every training task (paper, Box B.1), in the dialect of the paper.

A sample is a context and an answer; the loss falls on the answer alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from qvl.pipeline.markup.coordinates import Box, Quad
from qvl.pipeline.markup.dialects import box, grounded, quad, ref
from qvl.pipeline.markup.markers import image_slot


@dataclass(frozen=True, slots=True)
class Turn:
    """A part of a sample's text. ``role``: system, user or assistant, or text for running text; the last two have a loss."""

    role: str
    text: str


Turns = tuple[Turn, ...]

CAPTION_PROMPTS = {"en": "Generate the caption in English:", "zh": "Generate the caption in Chinese:"}
GROUNDING_PROMPTS = {
    "en": "Generate the caption in English with grounding:",
    "zh": "Generate the caption in Chinese with grounding:",
}
REGION_PROMPTS = {"en": ("This", " is"), "zh": ("这", "是")}
ANSWER_PROMPTS = {"en": " Answer:", "zh": " 答案："}
# the paper prints only the English prompts; the Chinese ones are ours
DETECTION_PROMPTS = {"en": "Which objects are in the image, and where?", "zh": "图中有哪些物体，在什么位置？"}
OCR_PROMPTS = {"en": "OCR with grounding:", "zh": "识别文字并给出位置："}


def _turns(context: str, answer: str) -> Turns:
    """The blank after a Latin context is part of the answer, so that the model learns to write it."""
    blank = " " if context[-1:].isascii() else ""
    return Turn("user", context), Turn("assistant", blank + answer)


def caption_turns(caption: str, language: str) -> Turns:
    """A caption sample."""
    return _turns(image_slot(0) + CAPTION_PROMPTS.get(language, CAPTION_PROMPTS["en"]), caption)


def grounded_caption_turns(
    caption: str, spans: Sequence[tuple[int, int, Sequence[Box]]], language: str = "en"
) -> Turns:
    """A caption with boxes. Spans: (start, end in characters, boxes), disjoint and in order; each is tagged in the text."""
    pieces, position = [], 0
    for start, end, boxes in spans:
        if not position <= start < end <= len(caption):
            raise ValueError(f"span {start}..{end} is empty, overlaps another span, or exceeds the caption")
        pieces += [caption[position:start], grounded(caption[start:end], boxes)]
        position = end
    pieces.append(caption[position:])
    return _turns(image_slot(0) + GROUNDING_PROMPTS.get(language, GROUNDING_PROMPTS["en"]), "".join(pieces))


def referring_turns(expression: str, boxes: Sequence[Box]) -> Turns:
    """Phrase to box: the expression is context, its boxes are the answer. The prompt is the same in every language."""
    answer = "".join(box(b) for b in boxes)
    return Turn("user", image_slot(0) + ref(expression)), Turn("assistant", answer)


def region_caption_turns(b: Box, description: str, language: str = "en") -> Turns:
    """Box to phrase."""
    this, verb = REGION_PROMPTS.get(language, REGION_PROMPTS["en"])
    return _turns(f"{image_slot(0)}{grounded(this, [b])}{verb}", description)


def vqa_turns(question: str, answer: str, language: str = "en") -> Turns:
    """A question about the image."""
    return _turns(f"{image_slot(0)} {question}{ANSWER_PROMPTS.get(language, ANSWER_PROMPTS['en'])}", answer)


def detection_turns(labels: Sequence[tuple[str, Sequence[Box]]], language: str = "en") -> Turns:
    """All objects of an image, as a question: the answer lists every label with its boxes."""
    question = DETECTION_PROMPTS.get(language, DETECTION_PROMPTS["en"])
    return vqa_turns(question, "".join(grounded(text, boxes) for text, boxes in labels), language)


def ocr_turns(records: Sequence[tuple[str, Quad]], language: str) -> Turns:
    """All texts of an image with their quads, in reading order."""
    answer = "".join(ref(text) + quad(corners) for text, corners in records)
    return _turns(image_slot(0) + OCR_PROMPTS.get(language, OCR_PROMPTS["en"]), answer)
