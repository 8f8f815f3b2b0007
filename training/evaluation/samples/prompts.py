"""Prompts and answer lengths of the released evaluation and of training. The model knows both; its scores differ.

Released: as in the scripts published with the weights. Training: ``qvl.pipeline.markup.turns``, the paper's Box B.1.
"""

from collections.abc import Sequence
from typing import Literal

from qvl.model.network.processor import SYSTEM
from qvl.model.text.tokenizer import TURN_END, TURN_START
from qvl.pipeline.markup import dialects
from qvl.pipeline.markup.dialects import QWEN_VL, TAGS
from qvl.pipeline.markup.markers import image_slot
from qvl.pipeline.markup.turns import ANSWER_PROMPTS, caption_turns, vqa_turns
from qvl.training.evaluation.samples.sample import Decoding, Metric

Style = Literal["released", "training"]

CAPTION = {
    "en": "Describe the image in English:",
    "zh": "Describe the image in Chinese:",
}  # the release has English only
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OCR_LENGTH = 1536  # ours: what an image leaves of 2048 tokens, with a margin
LENGTHS: dict[Metric, int] = {
    "cider": 30, "vqa_score": 10, "exact": 10, "gqa": 10, "anls": 100, "relaxed": 100, "choice": 1, "box": 28,
    "grounded": 512, "ocr": OCR_LENGTH,
}  # fmt: skip
MIN_LENGTHS: dict[Metric, int] = {"cider": 8, "box": 10}


def decoding(metric: Metric, style: Style, longest: int | None = None) -> Decoding:
    """The released lengths. The minimum lengths apply to released prompts only: training teaches shorter answers."""
    least = MIN_LENGTHS.get(metric, 1) if style == "released" else 1
    most = longest or LENGTHS[metric]
    return Decoding(most, min(least, most))


def caption(style: Style, language: str = "en") -> str:
    """The prompt for a caption."""
    if style == "released":
        return image_slot(0) + CAPTION.get(language, CAPTION["en"])
    return caption_turns("", language)[0].text


def question(text: str, style: Style, language: str = "en") -> str:
    """A question about the image. The released prompt has no blank after the image."""
    if style == "released":
        return f"{image_slot(0)}{text}{ANSWER_PROMPTS['en']}"
    return vqa_turns(text, "", language)[0].text


def choice(text: str, options: Sequence[str], hint: str = "") -> str:
    """A question with lettered options; the answer is a blank and a letter."""
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    return f"{image_slot(0)}Context: {hint or 'N/A'}\nQuestion: {text}\nOptions: {listed}\nAnswer:"


def referring(expression: str, style: Style) -> str:
    """The prompt for the box of a phrase. The released prompt opens the box, and the model continues inside it."""
    opened = TAGS[QWEN_VL].box[0] if style == "released" else ""
    return image_slot(0) + dialects.ref(expression) + opened


def chatml(prompt: str) -> str:
    """The prompt as the user's turn of a conversation, as a model of stage 3 expects it."""
    messages = (("system", SYSTEM), ("user", prompt))
    turns = "".join(f"{TURN_START}{role}\n{text}{TURN_END}\n" for role, text in messages)
    return f"{turns}{TURN_START}assistant\n"
