"""Processor: text with `<img></img>` and images -> token ids with 256 positions per image, and pixels.

The chat template is ChatML with `Picture n:` (reference section 8). This file is copied next to exported weights.
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
    """The text with `positions` image tokens inside each `<img>...</img>`, whatever was inside; and the number of images.

    Raises ModelError for unpaired tags and for image tokens outside a pair.
    """
    full = IMAGE_START + IMAGE_PAD * positions + IMAGE_END
    expanded, count = re.subn(rf"{IMAGE_START}(?:(?!{IMAGE_START}).)*?{IMAGE_END}", full, text, flags=re.DOTALL)
    tags = expanded.count(IMAGE_START), expanded.count(IMAGE_END), expanded.count(IMAGE_PAD)
    if tags != (count, count, count * positions):
        raise ModelError(f"unpaired image tags in {text[:80]!r}: {tags[0]} opened, {tags[1]} closed")
    return expanded, count


class QwenVLProcessor(ProcessorMixin):
    """Image processor and tokenizer combined. Every image takes `image_seq_length` positions."""

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

        `text` contains `<img></img>` for every image; `images` (flat or nested) fill these slots in reading order. Other
        keyword arguments go to the tokenizer. Raises ModelError if truncation would cut an image.
        """
        if text is None:
            raise ModelError("text is missing; for an image without text pass `<img></img>`")
        pairs = [expand_images(row, self.image_seq_length) for row in ([text] if isinstance(text, str) else text)]
        pictures = [] if images is None else flatten_images(images)
        slots = [count for _, count in pairs]
        if sum(slots) != len(pictures):
            raise ModelError(f"{len(pictures)} image(s) given, but the text has slots for {sum(slots)}: {slots}")
        kwargs.pop("videos", None), kwargs.pop("audio", None)
        kwargs = {"add_special_tokens": False, **kwargs.pop("text_kwargs", {}), **kwargs}
        encoded = self.tokenizer([row for row, _ in pairs], padding=padding, **kwargs)
        data: dict[str, Any] = dict(encoded)
        self._refuse_cut_images(data["input_ids"], slots)
        if return_mm_token_type_ids:
            data["mm_token_type_ids"] = self.create_mm_token_type_ids(data["input_ids"])
        if pictures:
            data["pixel_values"] = np.stack([self.image_processor.pixels(picture) for picture in pictures])
        return BatchFeature(data=data, tensor_type=return_tensors)

    def create_mm_token_type_ids(self, input_ids: list[list[int]]) -> list[list[int]]:
        """1 at positions that hold an image feature, 0 elsewhere."""
        return [[int(token == self.image_token_id) for token in row] for row in input_ids]

    def _refuse_cut_images(self, rows: list[list[int]], slots: list[int]) -> None:
        for row, (ids, count) in enumerate(zip(rows, slots, strict=True)):
            if sum(token == self.image_token_id for token in ids) != count * self.image_seq_length:
                raise ModelError(
                    f"row {row}: truncation would cut an image, which takes {self.image_seq_length} positions"
                )

    def _get_num_multimodal_tokens(self, image_sizes: list[list[int]] | None = None, **kwargs: Any) -> MultiModalData:
        """Called by vLLM: every image takes the same number of positions, whatever its size."""
        images = len(image_sizes or [])
        return MultiModalData(num_image_tokens=[self.image_seq_length] * images, num_image_patches=[1] * images)

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "pixel_values"]
