"""Turns one sample into token ids: formats, which tokens have a loss, truncation, and the class of every token.

The plain formats of stages 1 and 2 close with the end-of-text token (Box B.1); dialogues are ChatML (paper section 3.3 and
appendix B.2). The text comes from the shards as it is; nothing here writes markup.
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
from qvl.pipeline.markup.turns import Turn, Turns
from qvl.pipeline.shards.sample import SampleRecord
from qvl.training.recipe import StageSpec

ENCODE_VERSION = 2
CLASSES = ("text", "digits", "markers", "ocr")
TEXT, DIGITS, MARKERS, OCR = range(4)
COORDINATES = ("box", "quad")
PROMPTS_KEPT = 256

Ints = npt.NDArray[np.int32]


class SampleError(Exception):
    """The sample cannot be trained on. The text is the reason, as ``reason`` or ``reason:detail``."""


@dataclass(frozen=True)
class Rule:
    """How samples become tokens.

    ``length``: the longest sequence, in tokens. ``positions``: tokens that one image takes. ``chatml``: which samples become
    dialogues. ``loss``: which tokens of a dialogue have a loss. ``pictures``: whether images are kept.
    """

    length: int
    positions: int = 256
    chatml: Literal["chat", "all"] = "chat"
    loss: Literal["released", "answers"] = "answers"
    pictures: bool = True

    @staticmethod
    def of(stage: StageSpec, positions: int) -> "Rule":
        """The rule of a stage, for a model with ``positions`` tokens per image."""
        return Rule(stage.length, positions, stage.chatml, stage.loss, stage.stage != "language")


@dataclass(frozen=True)
class TokenSample:
    """``ids`` [L]; ``labels`` [L], IGNORE at tokens without a loss; ``classes`` [L], indexes into CLASSES; ``images``: their
    numbers in the order in which they appear; ``cut``: how many tokens were dropped from the end."""

    ids: Ints
    labels: Ints
    classes: npt.NDArray[np.uint8]
    images: tuple[int, ...]
    cut: int = 0


class Encoder:
    """Encodes samples of shards under one rule. It can be pickled, tokenizer included."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rule: Rule) -> None:
        self.tokenizer, self.rule = tokenizer, rule
        self._prompts: dict[tuple[str, bool], Encoded] = {}
        self.end = token_id(tokenizer, END_OF_TEXT)
        self._ref = token_id(tokenizer, "<ref>")
        self._turn_end = token_id(tokenizer, TURN_END)
        self._image_end = token_id(tokenizer, "</img>")
        self._coordinates = [
            (token_id(tokenizer, f"<{kind}>"), token_id(tokenizer, f"</{kind}>")) for kind in COORDINATES
        ]
        markers = [token_id(tokenizer, token) for token in (*MARKUP, END_OF_TEXT, TURN_START, TURN_END)]
        self._markers = np.array(sorted(markers), dtype=np.int32)

    def encode(self, record: SampleRecord) -> TokenSample:
        """The tokens of a sample. Raises SampleError for a sample that cannot be trained on."""
        turns, task = record.turns, record.task
        if not self.rule.pictures:
            turns = tuple(Turn(turn.role, without_images(turn.text)) for turn in turns)
        numbers = tuple(number for turn in turns for number in image_numbers(turn.text))
        try:
            places = bool(record.regions)  # without regions no tag in the text is markup
            encoded = self._dialogue(turns, places) if self._is_dialogue(task) else self._plain(turns, places)
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
            labels[0] = IGNORE  # nothing precedes it, and in a pack it would be predicted from another sample
        if not (labels != IGNORE).any():
            raise SampleError("nothing_to_learn")
        return TokenSample(ids, labels, self._classes(ids, task), numbers, cut)

    def tombstone(self, length: int) -> TokenSample:
        """What replaces a damaged sample: as many tokens, without a loss and without an image."""
        ids = np.full(max(1, length), self.end, dtype=np.int32)
        return TokenSample(ids, np.full_like(ids, IGNORE), np.zeros(len(ids), dtype=np.uint8), ())

    def _is_dialogue(self, task: str) -> bool:
        return self.rule.chatml == "all" or task == "chat"

    def _plain(self, turns: Turns, places: bool) -> Encoded:
        segments = [(turn.text, turn.role in ("assistant", "text")) for turn in turns]
        if not any(supervised for _, supervised in segments):
            raise SampleError("nothing_to_learn")
        whole = Encoded()
        for text, supervised in segments:
            part = self._answer(text, places) if supervised else self._prompt(text, places)
            whole.ids += part.ids[:-1]  # each segment is tokenised by itself; its end of text goes
            whole.labels += part.labels[:-1]
            whole.images += part.images
        whole.add([self.end], True)
        return whole

    def _answer(self, text: str, places: bool) -> Encoded:
        return encode_plain(self.tokenizer, [(text, True)], self.rule.positions, places=places)

    def _prompt(self, text: str, places: bool) -> Encoded:
        """A segment without a loss. Prompts are cached, because captions share a few long ones (an image is 256 tokens)."""
        key = (text, places)
        if key in self._prompts:
            return self._prompts[key]
        encoded = encode_plain(self.tokenizer, [(text, False)], self.rule.positions, places=places)
        if len(self._prompts) < PROMPTS_KEPT:
            self._prompts[key] = encoded
        return encoded

    def _dialogue(self, turns: Turns, places: bool) -> Encoded:
        pairs: Any = [(turn.role, turn.text) for turn in turns]
        if any(role == "text" for role, _ in pairs):  # pure text has no turns, so it stays plain in a dialogue stage
            return self._plain(turns, places)
        rule = self.rule
        return encode_chatml(self.tokenizer, pairs, loss=rule.loss, positions=rule.positions, places=places)

    def _shorten(self, ids: Ints, labels: Ints, dialogue: bool) -> tuple[Ints, Ints]:
        """Truncate to the longest length: after a whole turn of a dialogue, before a `<ref>` record, else after any token.

        The end of text that follows a cut has no loss, because the text did not end there.
        """
        room = self.rule.length - 1
        head = ids[:room]
        if dialogue:
            ends = np.flatnonzero(head == self._turn_end)
            stop = int(ends[-1]) + 2 if len(ends) else 0  # the turn's end and its newline
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
        """Indexes into CLASSES: special tokens, coordinates inside boxes and quads, text of an OCR page, any other text."""
        classes = np.full(len(ids), OCR if task == "ocr" else TEXT, dtype=np.uint8)
        for opening, closing in self._coordinates:
            inside = np.cumsum((ids == opening).astype(np.int32) - (ids == closing).astype(np.int32)) > 0
            classes[inside] = DIGITS
        classes[np.isin(ids, self._markers)] = MARKERS
        return classes
