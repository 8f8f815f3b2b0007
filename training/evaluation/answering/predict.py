"""Ask a model: batches of equal decoding, longest first, padded on the left; greedy answers, or the likeliest option."""

# mypy: disable-error-code="no-untyped-call"

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from qvl.model.commands.chat import plain_answer
from qvl.model.network.errors import ModelError
from qvl.model.network.processor import QwenVLProcessor, expand_images
from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.text.tokenizer import END_OF_TEXT, TURN_END, token_id
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.decode import UNREADABLE
from qvl.training.evaluation.samples.sample import Answer, EvalSample

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Batch:
    """Places in the list of samples, token ids of their prompts, and pixels; ``faults`` are those that cannot be asked."""

    places: list[int]
    ids: list[list[int]]
    pixels: list[Tensor]  # per place, [images, 3, S, S]
    faults: dict[int, str]


def predict(
    model: QwenVLForConditionalGeneration,
    processor: QwenVLProcessor,
    samples: Sequence[EvalSample],
    batch_size: int = 8,
    advance: Advance | None = None,
) -> list[Answer]:
    """The model's answer to each sample, in their order. ``advance`` hears how many were answered.

    The model keeps its mode (training or not) and its device. The images of the next batch are decoded while this one is
    answered. Raises DataError for an image that is not there and for a prompt that does not fit the model's context.
    """
    lengths = [_tokens(processor, sample) for sample in samples]
    answers: dict[int, Answer] = {}

    def prepare(places: list[int]) -> Batch:
        return _prepare(model, processor, samples, lengths, places)

    with evaluating(model), ThreadPoolExecutor(1) as thread:
        for batch in _ahead(thread, prepare, _batches(samples, lengths, batch_size)):
            answers |= _answer(model, processor, samples, batch)
            if advance is not None:
                advance(len(batch.places) + len(batch.faults))
    return [answers[place] for place in range(len(samples))]


def _ahead(
    thread: ThreadPoolExecutor, function: Callable[[list[int]], Batch], items: Iterable[list[int]]
) -> Iterator[Batch]:
    """Results in order; the next one is made while the caller works on this one."""
    waiting: Future[Batch] | None = None
    for item in items:
        coming = thread.submit(function, item)
        if waiting is not None:
            yield waiting.result()
        waiting = coming
    if waiting is not None:
        yield waiting.result()


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """No gradients and no dropout inside; afterwards every module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def _tokens(processor: QwenVLProcessor, sample: EvalSample) -> list[int]:
    text, _ = expand_images(sample.prompt, processor.image_seq_length)
    ids: list[int] = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _batches(samples: Sequence[EvalSample], ids: list[list[int]], size: int) -> Iterator[list[int]]:
    """Places of samples that are decoded alike, the longest prompts first; equal samples give equal batches."""

    def alike(place: int) -> tuple[bool, int, int]:
        decoding = samples[place].decoding
        return bool(samples[place].options), decoding.max_new, decoding.min_new

    order = sorted(range(len(samples)), key=lambda place: (alike(place), -len(ids[place]), samples[place].id))
    start = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or at - start == size or alike(order[at]) != alike(order[start]):
            yield order[start:at]
            start = at


def _prepare(
    model: Any, processor: QwenVLProcessor, samples: Sequence[EvalSample], ids: list[list[int]], places: list[int]
) -> Batch:
    """Decode the images of a batch. Runs in a thread beside the model."""
    batch = Batch([], [], [], {})
    limit = model.config.text_config.max_position_embeddings
    for place in places:
        sample = samples[place]
        if len(ids[place]) + sample.decoding.max_new > limit:
            raise DataError(
                f"{sample.id}: a prompt of {len(ids[place])} tokens and an answer of {sample.decoding.max_new} do not fit "
                f"the model's {limit}; take fewer --shots or a smaller --max-new"
            )
        try:
            pixels = [_pixels(processor, at.read()) for at in sample.images]
        except FileNotFoundError as error:
            raise DataError(f"{error.filename}: the image of {sample.id} is not there; is --images right?") from None
        except (*UNREADABLE, ModelError) as error:
            batch.faults[place] = f"image: {type(error).__name__}"
            continue
        batch.places.append(place)
        batch.ids.append(ids[place])
        batch.pixels.append(torch.stack(pixels) if pixels else torch.empty(0))
    return batch


def _pixels(processor: QwenVLProcessor, data: bytes) -> Tensor:
    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(processor.image_processor.pixels(image))


def _answer(
    model: QwenVLForConditionalGeneration, processor: QwenVLProcessor, samples: Sequence[EvalSample], batch: Batch
) -> dict[int, Answer]:
    """Answers by place, the faulty ones too."""
    answers = {place: Answer("", fault) for place, fault in batch.faults.items()}
    if not batch.places:
        return answers
    first = samples[batch.places[0]]
    return answers | (_choose if first.options else _generate)(model, processor, samples, batch)


def _generate(model: Any, processor: QwenVLProcessor, samples: Sequence[EvalSample], batch: Batch) -> dict[int, Answer]:
    decoding = samples[batch.places[0]].decoding
    stops = [token_id(processor.tokenizer, END_OF_TEXT), token_id(processor.tokenizer, TURN_END)]
    inputs = _inputs(model, batch.ids, batch.pixels, stops[0])
    tokens = model.generate(
        **inputs,
        do_sample=False,
        num_beams=1,
        max_new_tokens=decoding.max_new,
        min_new_tokens=decoding.min_new,
        eos_token_id=stops,
        pad_token_id=stops[0],
    )
    new = tokens[:, inputs["input_ids"].shape[1] :].tolist()
    texts = [plain_answer(processor.tokenizer.decode(row)) for row in new]
    return {place: Answer(text) for place, text in zip(batch.places, texts, strict=True)}


def _choose(model: Any, processor: QwenVLProcessor, samples: Sequence[EvalSample], batch: Batch) -> dict[int, Answer]:
    """The option whose tokens, behind a blank, have the highest mean log-likelihood after the prompt, as released.

    Options that begin alike share a row: lettered ones of one token cost one forward pass of the prompt.
    """
    rows: list[list[int]] = []
    pixels: list[Tensor] = []
    wanted: list[dict[tuple[int, ...], int]] = []
    options = [[_option(processor, text) for text in samples[place].options] for place in batch.places]
    for prompt, images, own in zip(batch.ids, batch.pixels, options, strict=True):
        heads = sorted({tokens[:-1] for tokens in own})
        wanted.append({head: len(rows) + at for at, head in enumerate(heads)})
        rows += [[*prompt, *head] for head in heads]
        pixels += [images] * len(heads)
    inputs = _inputs(model, rows, pixels, token_id(processor.tokenizer, END_OF_TEXT))
    most = max(len(tokens) for own in options for tokens in own)
    positions = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    likely = model(**inputs, position_ids=positions, logits_to_keep=most).logits.float().log_softmax(-1)
    answers = {}
    for place, own, row_of in zip(batch.places, options, wanted, strict=True):
        scores = []
        for tokens in own:
            tail = likely[row_of[tokens[:-1]], -len(tokens) :]
            scores.append(sum(float(tail[at, token]) for at, token in enumerate(tokens)) / len(tokens))
        best = max(range(len(scores)), key=lambda at: (scores[at], -at))
        answers[place] = Answer(samples[place].options[best], likelihoods=tuple(scores))
    return answers


def _option(processor: QwenVLProcessor, text: str) -> tuple[int, ...]:
    return tuple(processor.tokenizer(f" {text}", add_special_tokens=False)["input_ids"])


def _inputs(model: Any, rows: list[list[int]], pixels: list[Tensor], pad: int) -> dict[str, Tensor]:
    """Padded on the left."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    inputs = {"input_ids": ids, "attention_mask": mask}
    images = [part for part in pixels if len(part)]
    if images:
        inputs["pixel_values"] = torch.cat(images)
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}
