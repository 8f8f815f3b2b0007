"""Token ids and labels of one sample: the plain formats of stages 1-2 (Box B.1) and the ChatML of stage 3.

The strings come from the data; this module only tokenises them and decides which tokens contribute to the loss. Only image
slots of prompts and, in samples with regions (`places`), the tags of phrases, boxes and quads become special tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from transformers import PreTrainedTokenizerBase

from qvl.model.network.config import IGNORE
from qvl.model.network.errors import ModelError
from qvl.model.network.processor import IMAGE_END, IMAGE_START, SYSTEM, expand_images
from qvl.model.text.control import IMAGE_MARKUP, PLACE_MARKUP, tokenize
from qvl.model.text.tokenizer import END_OF_TEXT, TURN_END, TURN_START, token_id

Role = Literal["system", "user", "assistant"]


@dataclass
class Encoded:
    """`labels[i]` is `ids[i]` if that token is supervised, else IGNORE (not shifted); `ids` holds `images` images."""

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    images: int = 0

    def add(self, ids: list[int], supervised: bool) -> None:
        """Append tokens."""
        self.ids += ids
        self.labels += ids if supervised else [IGNORE] * len(ids)


def encode_plain(
    tokenizer: PreTrainedTokenizerBase,
    segments: Sequence[tuple[str, bool]],
    positions: int = 256,
    *,
    places: bool = True,
) -> Encoded:
    """Segments of (text, supervised), followed by the end-of-text token, which is supervised.

    Each segment is tokenised separately, so that training splits the text where a prompt ends at inference: the blank
    between prompt and answer belongs to the answer. Raises ModelError for an image in a supervised segment.
    """
    encoded = Encoded()
    for text, supervised in segments:
        _add_text(encoded, tokenizer, text, supervised, positions, places)
    encoded.add([token_id(tokenizer, END_OF_TEXT)], True)
    return encoded


def encode_chatml(
    tokenizer: PreTrainedTokenizerBase,
    turns: Sequence[tuple[Role, str]],
    system: str = SYSTEM,
    loss: Literal["released", "answers"] = "released",
    positions: int = 256,
    *,
    places: bool = True,
) -> Encoded:
    """ChatML turns with the loss mask of the release, or with loss on answers only.

    `released`: the markers `<|im_start|>` and `<|im_end|>` + newline of every turn, and the content of assistant
    turns. `answers`: the content of assistant turns and their `<|im_end|>`.
    """
    newline, everywhere = tokenize(tokenizer, "\n"), loss == "released"
    encoded = Encoded()
    for role, text in [("system", system), *turns] if not turns or turns[0][0] != "system" else turns:
        answer = role == "assistant"
        encoded.add([token_id(tokenizer, TURN_START)], everywhere)
        encoded.add([*tokenize(tokenizer, role), *newline], False)
        _add_text(encoded, tokenizer, text, answer, positions, places)
        encoded.add([token_id(tokenizer, TURN_END)], everywhere or answer)
        encoded.add(newline, everywhere)
    return encoded


def truncate(encoded: Encoded, tokenizer: PreTrainedTokenizerBase, length: int) -> Encoded:
    """The first `length` tokens. Raises ModelError if that would cut an image or leave no supervised token."""
    if len(encoded.ids) <= length:
        return encoded
    ids, labels = encoded.ids[:length], encoded.labels[:length]
    start, end = token_id(tokenizer, IMAGE_START), token_id(tokenizer, IMAGE_END)
    if ids.count(start) != ids.count(end) or ids.count(end) != encoded.images:
        raise ModelError(f"{encoded.images} image(s) and {len(encoded.ids)} tokens do not fit {length} tokens")
    if all(label == IGNORE for label in labels[1:]):
        raise ModelError(f"the first {length} of {len(encoded.ids)} tokens contain no supervised token")
    return Encoded(ids, labels, encoded.images)


def _add_text(
    encoded: Encoded, tokenizer: PreTrainedTokenizerBase, text: str, supervised: bool, positions: int, places: bool
) -> None:
    expanded, images = expand_images(text, positions)
    if images and supervised:
        raise ModelError(f"supervised text must not contain an image: {text[:80]!r}")
    encoded.images += images
    markup = (*(IMAGE_MARKUP if images else ()), *(PLACE_MARKUP if places else ()))
    encoded.add(tokenize(tokenizer, expanded, markup), supervised)
