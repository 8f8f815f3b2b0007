"""Processor: text with `<img></img>` and images -> token ids with 256 positions per image, and pixels.

The chat template is ChatML with `Picture n:` (reference section 8). This file travels with exported weights.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.processing_utils import MultiModalData, ProcessorMixin

from .errors import ModelError
from .image_processor import Picture, flatten_images

IMAGE_START, IMAGE_END, IMAGE_PAD = "<img>", "</img>", "<imgpad>"
SYSTEM = "You are a helpful assistant."

CHAT_TEMPLATE = (
    "{%- set seen = namespace(images=0) -%}"
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\n" + SYSTEM + "<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] == 'image' -%}{%- set seen.images = seen.images + 1 -%}"
    "{{- 'Picture ' + seen.images|string + ': <img></img>\\n' -}}"
    "{%- elif part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def expand_images(text: str, positions: int) -> tuple[str, int]:
    """Every `<img>...</img>` (whatever is inside) with `positions` image tokens inside; and how many there are.

    Raises ModelError for a tag without its partner and for image tokens outside a pair.
    """
    full = IMAGE_START + IMAGE_PAD * positions + IMAGE_END
    expanded, count = re.subn(rf"{IMAGE_START}(?:(?!{IMAGE_START}).)*?{IMAGE_END}", full, text, flags=re.DOTALL)
    tags = expanded.count(IMAGE_START), expanded.count(IMAGE_END), expanded.count(IMAGE_PAD)
    if tags != (count, count, count * positions):
        raise ModelError(f"image tags do not pair up in {text[:80]!r}: {tags[0]} opened, {tags[1]} closed")
    return expanded, count


class QwenVLProcessor(ProcessorMixin):
    """Image processor and tokenizer in one; `image_seq_length` positions for every image."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        image_seq_length: int = 256,
        chat_template: str | None = None,
    ) -> None:
        self.image_seq_length = image_seq_length
        self.image_token = IMAGE_PAD
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_PAD)
        super().__init__(image_processor, tokenizer, chat_template=chat_template or CHAT_TEMPLATE)

    def __call__(
        self,
        images: Picture | Iterable[Any] | None = None,
        text: str | list[str] | None = None,
        return_tensors: str | None = None,
        padding: bool | str = False,
        return_mm_token_type_ids: bool = False,
        **kwargs: Any,
    ) -> BatchFeature:
        """Token ids, attention mask and pixels of a batch.

        `text` holds `<img></img>` where an image stands; `images` (flat or nested) fill them in reading order.
        Other keywords go to the tokenizer; a truncation that cuts an image is an error.
        """
        if text is None:
            raise ModelError("text is missing; an image alone is `<img></img>`")
        pairs = [expand_images(row, self.image_seq_length) for row in ([text] if isinstance(text, str) else text)]
        pictures = [] if images is None else flatten_images(images)
        places = [count for _, count in pairs]
        if sum(places) != len(pictures):
            raise ModelError(f"{len(pictures)} image(s) given, but the text has places for {sum(places)}: {places}")
        kwargs.pop("videos", None), kwargs.pop("audio", None)
        kwargs = {"add_special_tokens": False, **kwargs.pop("text_kwargs", {}), **kwargs}
        encoded = self.tokenizer([row for row, _ in pairs], padding=padding, **kwargs)
        data: dict[str, Any] = dict(encoded)
        self._refuse_cut_images(data["input_ids"], places)
        if return_mm_token_type_ids:
            data["mm_token_type_ids"] = self.create_mm_token_type_ids(data["input_ids"])
        if pictures:
            data["pixel_values"] = np.stack([self.image_processor.pixels(picture) for picture in pictures])
        return BatchFeature(data=data, tensor_type=return_tensors)

    def create_mm_token_type_ids(self, input_ids: list[list[int]]) -> list[list[int]]:
        """1 where an image feature goes, else 0."""
        return [[int(token == self.image_token_id) for token in row] for row in input_ids]

    def _refuse_cut_images(self, rows: list[list[int]], places: list[int]) -> None:
        for row, (ids, count) in enumerate(zip(rows, places, strict=True)):
            if sum(token == self.image_token_id for token in ids) != count * self.image_seq_length:
                raise ModelError(f"row {row}: truncation cuts an image of {self.image_seq_length} positions")

    def _get_num_multimodal_tokens(self, image_sizes: list[list[int]] | None = None, **kwargs: Any) -> MultiModalData:
        """For vLLM: every image has the same number of positions, whatever its size."""
        images = len(image_sizes or [])
        return MultiModalData(num_image_tokens=[self.image_seq_length] * images, num_image_patches=[1] * images)

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "pixel_values"]
