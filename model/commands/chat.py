"""A conversation with the model in a folder: ChatML, numbered images, boxes drawn on the last image."""

# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from transformers import TextStreamer

from qvl.model.commands.draw import draw_regions, find_regions
from qvl.model.network.errors import ModelError
from qvl.model.text.tokenizer import END_OF_TEXT, TURN_END
from qvl.model.weights.auto import load_model, load_processor
from qvl.model.weights.shards import JsonObject


class Chat:
    """Keeps the turns of a conversation; `ask` adds a question and its answer."""

    def __init__(self, folder: Path, device: str = "cpu", dtype: torch.dtype | None = None) -> None:
        self.processor = load_processor(folder)
        self.model: Any = load_model(folder, dtype=dtype).eval()
        self.model.to(device)
        self.messages: list[JsonObject] = []
        self.image: Image.Image | None = None

    def ask(self, text: str, images: list[Path], length: int = 256, show: Callable[[str], None] | None = None) -> str:
        """The answer with its markup, passed to `show` piece by piece. Raises ModelError for a file that is not an image."""
        parts: list[JsonObject] = [{"type": "image", "image": open_image(path)} for path in images]
        if parts:
            self.image = parts[-1]["image"]
        self.messages.append({"role": "user", "content": [*parts, {"type": "text", "text": text}]})
        batch: Any = self.processor.apply_chat_template(
            self.messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        batch = batch.to(self.model.device)
        start = batch["input_ids"].shape[1]
        tokens = self.model.generate(
            **batch, max_new_tokens=length, do_sample=False, streamer=_Streamer(self.processor, show) if show else None
        )
        answer = plain_answer(self.processor.tokenizer.decode(tokens[0, start:]))
        self.messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        return answer

    def draw(self, answer: str, out: Path) -> int:
        """Save the last image with the answer's boxes drawn on it. Returns their number; if 0, no file is written."""
        regions = find_regions(answer)
        if regions and self.image is not None:
            draw_regions(self.image, regions).save(out)
            return len(regions)
        return 0


def open_image(path: Path) -> Image.Image:
    """An image as a viewer shows it, with its EXIF orientation applied. Raises ModelError if it cannot be read."""
    try:
        with Image.open(path) as image:
            upright: Image.Image = ImageOps.exif_transpose(image)
            return upright
    except OSError as error:
        raise ModelError(f"{path} cannot be read as an image: {error}") from error


def plain_answer(text: str) -> str:
    """The text up to the first token that ends a turn."""
    return text.split(TURN_END, maxsplit=1)[0].split(END_OF_TEXT, maxsplit=1)[0].strip()


class _Streamer(TextStreamer):
    def __init__(self, processor: Any, show: Callable[[str], None]) -> None:
        super().__init__(processor.tokenizer, skip_prompt=True)
        self.show = show

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.show(text.replace(TURN_END, "").replace(END_OF_TEXT, "") + ("\n" if stream_end else ""))
