"""One sample to token ids: formats, loss boundaries, cuts, and the class of every token that is learnt.

Plain formats of stages 1-2 end in the end of text (Box B.1); dialogues are ChatML (paper section 3.3 and appendix B.2). The
strings come from the shards; nothing here writes markup.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from qvl.model.network.config import IGNORE
from qvl.model.network.errors import ModelError
from qvl.model.text.dialogue import Encoded, encode_chatml, encode_plain
from qvl.model.text.tokenizer import END_OF_TEXT, MARKUP, TURN_END, TURN_START, token_id
from qvl.pipeline.markup.markers import image_numbers, without_images
from qvl.training.recipe import StageSpec

ENCODE_VERSION = 1
CLASSES = ("text", "digits", "markers", "ocr")
TEXT, DIGITS, MARKERS, OCR = range(4)
PLACES = ("box", "quad")
PROMPTS_KEPT = 256

Ints = npt.NDArray[np.int32]


class SampleError(Exception):
    """The sample cannot be trained on; the text is the reason, one word or ``word:detail``."""


@dataclass(frozen=True)
class Rule:
    """How samples become tokens: the longest sequence, positions per image, which samples are dialogues, their loss, and
    whether pictures belong to them."""

    length: int
    positions: int = 256
    chatml: Literal["chat", "all"] = "chat"
    loss: Literal["released", "answers"] = "answers"
    pictures: bool = True

    @staticmethod
    def of(stage: StageSpec, positions: int) -> "Rule":
        """The rule of a stage for a model with so many positions per image."""
        return Rule(stage.length, positions, stage.chatml, stage.loss, stage.stage != "language")


@dataclass(frozen=True)
class TokenSample:
    """``ids`` [L]; ``labels`` [L], IGNORE where nothing is learnt; ``classes`` [L], numbers of CLASSES; ``images`` in the
    order in which they stand; ``cut`` tokens that did not fit."""

    ids: Ints
    labels: Ints
    classes: npt.NDArray[np.uint8]
    images: tuple[int, ...]
    cut: int = 0


class Encoder:
    """Encodes samples of shards under one rule. Keeps the tokenizer; picklable."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rule: Rule) -> None:
        self.tokenizer, self.rule = tokenizer, rule
        self._prompts: dict[str, Encoded] = {}
        self.end = token_id(tokenizer, END_OF_TEXT)
        self._ref = token_id(tokenizer, "<ref>")
        self._turn_end = token_id(tokenizer, TURN_END)
        self._image_end = token_id(tokenizer, "</img>")
        self._places = [(token_id(tokenizer, f"<{kind}>"), token_id(tokenizer, f"</{kind}>")) for kind in PLACES]
        markers = [token_id(tokenizer, token) for token in (*MARKUP, END_OF_TEXT, TURN_START, TURN_END)]
        self._markers = np.array(sorted(markers), dtype=np.int32)

    def encode(self, content: dict[str, Any]) -> TokenSample:
        """A sample's ``<key>.json`` to tokens. Raises SampleError for what cannot be learnt from."""
        turns, task = content["turns"], content["task"]
        if not self.rule.pictures:
            turns = [turn | {"text": without_images(turn["text"])} for turn in turns]
        numbers = tuple(number for turn in turns for number in image_numbers(turn["text"]))
        try:
            encoded = self._dialogue(turns) if self._is_dialogue(task) else self._plain(turns)
        except ModelError as error:
            raise SampleError(f"markup:{error}") from None
        if encoded.images != len(numbers):
            raise SampleError("markup:images are not numbered")
        ids, labels = np.array(encoded.ids, dtype=np.int32), np.array(encoded.labels, dtype=np.int32)
        cut = max(0, len(ids) - self.rule.length)
        if cut:
            ids, labels = self._shorten(ids, labels, self._is_dialogue(task))
            cut = len(encoded.ids) - len(ids)
        if len(labels):
            labels[0] = IGNORE  # nothing stands before it, and in a pack it would be read off another sample
        if not (labels != IGNORE).any():
            raise SampleError("nothing_to_learn")
        return TokenSample(ids, labels, self._classes(ids, task), numbers, cut)

    def tombstone(self, length: int) -> TokenSample:
        """What stands in the place of a damaged sample: nothing to learn, no image."""
        ids = np.full(max(1, length), self.end, dtype=np.int32)
        return TokenSample(ids, np.full_like(ids, IGNORE), np.zeros(len(ids), dtype=np.uint8), ())

    def _is_dialogue(self, task: str) -> bool:
        return self.rule.chatml == "all" or task == "chat"

    def _plain(self, turns: list[dict[str, str]]) -> Encoded:
        segments = [(turn["text"], turn["role"] in ("assistant", "text")) for turn in turns]
        if not any(learnt for _, learnt in segments):
            raise SampleError("nothing_to_learn")
        whole = Encoded()
        for text, learnt in segments:
            part = (
                self._prompt(text) if not learnt else encode_plain(self.tokenizer, [(text, True)], self.rule.positions)
            )
            whole.ids += part.ids[:-1]  # each by itself, as in `encode_plain`, less the end of text
            whole.labels += part.labels[:-1]
            whole.images += part.images
        whole.add([self.end], True)
        return whole

    def _prompt(self, text: str) -> Encoded:
        """A segment that is not learnt. Captions share a few, and the places of an image are most of their tokens."""
        if text in self._prompts:
            return self._prompts[text]
        encoded = encode_plain(self.tokenizer, [(text, False)], self.rule.positions)
        if len(self._prompts) < PROMPTS_KEPT:
            self._prompts[text] = encoded
        return encoded

    def _dialogue(self, turns: list[dict[str, str]]) -> Encoded:
        pairs: Any = [(turn["role"], turn["text"]) for turn in turns]
        if any(role == "text" for role, _ in pairs):  # pure text has no turns: it stays plain inside a dialogue stage
            return self._plain(turns)
        return encode_chatml(self.tokenizer, pairs, loss=self.rule.loss, positions=self.rule.positions)

    def _shorten(self, ids: Ints, labels: Ints, dialogue: bool) -> tuple[Ints, Ints]:
        """At most the longest length: whole `<ref>` records, whole turns of a dialogue, else the text as far as it goes.

        The end of text behind a cut is not learnt: the text goes on.
        """
        room = self.rule.length - 1
        head = ids[:room]
        if dialogue:
            ends = np.flatnonzero(head == self._turn_end)
            stop = int(ends[-1]) + 2 if len(ends) else 0  # with its newline
            stop = min(stop, room)
        else:
            records = np.flatnonzero(ids[: room + 1] == self._ref)
            stop = int(records[-1]) if len(records) else room
        images = np.flatnonzero(ids == self._image_end)
        if len(images) and stop <= images[-1]:
            raise SampleError("too_long")
        end_ids, end_labels = np.array([self.end], dtype=np.int32), np.array([IGNORE], dtype=np.int32)
        return np.concatenate([ids[:stop], end_ids]), np.concatenate([labels[:stop], end_labels])

    def _classes(self, ids: Ints, task: str) -> npt.NDArray[np.uint8]:
        """Numbers of CLASSES: markers, the numbers inside boxes and quads, words of an OCR page, all other text."""
        classes = np.full(len(ids), OCR if task == "ocr" else TEXT, dtype=np.uint8)
        for opening, closing in self._places:
            inside = np.cumsum((ids == opening).astype(np.int32) - (ids == closing).astype(np.int32)) > 0
            classes[inside] = DIGITS
        classes[np.isin(ids, self._markers)] = MARKERS
        return classes
