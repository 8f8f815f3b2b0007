"""Ask a model: greedy answers, or the likeliest of the options.

A batch holds samples that are decoded alike, the longest prompts first, padded on the left.
"""

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
from qvl.model.text.control import IMAGE_MARKUP, PLACE_MARKUP, tokenize
from qvl.model.text.tokenizer import END_OF_TEXT, TURN_END, token_id
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.images.decode import UNREADABLE
from qvl.training.evaluation.samples.sample import Answer, EvalSample

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """A batch: indexes into the list of samples, the token ids of their prompts, and their pixels.

    ``pixels``: one tensor [images, 3, S, S] per sample. ``faults``: by index, why a sample cannot be asked; such samples are
    not in the other lists.
    """

    indexes: list[int]
    ids: list[list[int]]
    pixels: list[Tensor]
    faults: dict[int, str]


def predict(
    model: QwenVLForConditionalGeneration,
    processor: QwenVLProcessor,
    samples: Sequence[EvalSample],
    batch_size: int = 8,
    advance: Advance | None = None,
) -> list[Answer]:
    """The model's answer to each sample, in the order of the samples.

    ``advance`` is called with the number of samples of each finished batch. The model keeps its mode (training or
    evaluation) and its device. The images of the next batch are decoded while this one is answered. Raises DataError for a
    missing image file and for a prompt that does not fit the model's context.
    """
    lengths = [_tokens(processor, sample) for sample in samples]
    answers: dict[int, Answer] = {}

    def prepare(indexes: list[int]) -> PromptBatch:
        return _prepare(model, processor, samples, lengths, indexes)

    with evaluating(model), ThreadPoolExecutor(1) as thread:
        for batch in _ahead(thread, prepare, _batches(samples, lengths, batch_size)):
            answers |= _answer(model, processor, samples, batch)
            if advance is not None:
                advance(len(batch.indexes) + len(batch.faults))
    return [answers[index] for index in range(len(samples))]


def _ahead(
    thread: ThreadPoolExecutor, function: Callable[[list[int]], PromptBatch], items: Iterable[list[int]]
) -> Iterator[PromptBatch]:
    """The results in order. The next one is computed while the caller works on this one."""
    pending: Future[PromptBatch] | None = None
    for item in items:
        submitted = thread.submit(function, item)
        if pending is not None:
            yield pending.result()
        pending = submitted
    if pending is not None:
        yield pending.result()


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Run without gradients and dropout. Afterwards every module is in its previous mode."""
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
    return tokenize(processor.tokenizer, text, (*IMAGE_MARKUP, *PLACE_MARKUP))


def _batches(samples: Sequence[EvalSample], ids: list[list[int]], size: int) -> Iterator[list[int]]:
    """Indexes of samples that are decoded alike, the longest prompts first. Equal samples give equal batches."""

    def decoded_like(index: int) -> tuple[bool, int, int]:
        decoding = samples[index].decoding
        return bool(samples[index].options), decoding.max_new, decoding.min_new

    order = sorted(range(len(samples)), key=lambda index: (decoded_like(index), -len(ids[index]), samples[index].id))
    start = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or at - start == size or decoded_like(order[at]) != decoded_like(order[start]):
            yield order[start:at]
            start = at


def _prepare(
    model: Any, processor: QwenVLProcessor, samples: Sequence[EvalSample], ids: list[list[int]], indexes: list[int]
) -> PromptBatch:
    """Decode the images of a batch. This runs in a thread while the model works."""
    batch = PromptBatch([], [], [], {})
    limit = model.config.text_config.max_position_embeddings
    for index in indexes:
        sample = samples[index]
        if len(ids[index]) + sample.decoding.max_new > limit:
            raise DataError(
                f"{sample.id}: a prompt of {len(ids[index])} tokens and an answer of {sample.decoding.max_new} tokens do "
                f"not fit the model's context of {limit}; use fewer --shots or a smaller --max-new"
            )
        try:
            pixels = [_pixels(processor, image.read()) for image in sample.images]
        except FileNotFoundError as error:
            raise DataError(f"{error.filename}: the image of {sample.id} does not exist; check --images") from None
        except (*UNREADABLE, ModelError) as error:
            batch.faults[index] = f"image: {type(error).__name__}"
            continue
        batch.indexes.append(index)
        batch.ids.append(ids[index])
        batch.pixels.append(torch.stack(pixels) if pixels else torch.empty(0))
    return batch


def _pixels(processor: QwenVLProcessor, data: bytes) -> Tensor:
    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(processor.image_processor.pixels(image))


def _answer(
    model: QwenVLForConditionalGeneration, processor: QwenVLProcessor, samples: Sequence[EvalSample], batch: PromptBatch
) -> dict[int, Answer]:
    """The answers of a batch by index, with those of samples that could not be asked."""
    answers = {index: Answer("", fault) for index, fault in batch.faults.items()}
    if not batch.indexes:
        return answers
    first = samples[batch.indexes[0]]
    return answers | (_choose if first.options else _generate)(model, processor, samples, batch)


def _generate(
    model: Any, processor: QwenVLProcessor, samples: Sequence[EvalSample], batch: PromptBatch
) -> dict[int, Answer]:
    decoding = samples[batch.indexes[0]].decoding
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
    return {index: Answer(text) for index, text in zip(batch.indexes, texts, strict=True)}


def _choose(
    model: Any, processor: QwenVLProcessor, samples: Sequence[EvalSample], batch: PromptBatch
) -> dict[int, Answer]:
    """The option whose tokens, after a blank, have the highest mean log-likelihood after the prompt, as released.

    Options that differ only in their last token share a row of the batch, so options of one letter cost one forward pass of
    the prompt. Example: the options [a], [b], [c, d] give the rows prompt and prompt + [c].
    """
    rows: list[list[int]] = []
    pixels: list[Tensor] = []
    row_by_head: list[dict[tuple[int, ...], int]] = []
    options = [[_option(processor, text) for text in samples[index].options] for index in batch.indexes]
    for prompt, images, candidates in zip(batch.ids, batch.pixels, options, strict=True):
        heads = sorted({tokens[:-1] for tokens in candidates})
        row_by_head.append({head: len(rows) + at for at, head in enumerate(heads)})
        rows += [[*prompt, *head] for head in heads]
        pixels += [images] * len(heads)
    inputs = _inputs(model, rows, pixels, token_id(processor.tokenizer, END_OF_TEXT))
    longest = max(len(tokens) for candidates in options for tokens in candidates)
    positions = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    log_probs = model(**inputs, position_ids=positions, logits_to_keep=longest).logits.float().log_softmax(-1)
    answers = {}
    for index, candidates, row_of in zip(batch.indexes, options, row_by_head, strict=True):
        scores = []
        for tokens in candidates:
            tail = log_probs[row_of[tokens[:-1]], -len(tokens) :]
            scores.append(sum(float(tail[at, token]) for at, token in enumerate(tokens)) / len(tokens))
        best = max(range(len(scores)), key=lambda at: (scores[at], -at))
        answers[index] = Answer(samples[index].options[best], likelihoods=tuple(scores))
    return answers


def _option(processor: QwenVLProcessor, text: str) -> tuple[int, ...]:
    return tuple(tokenize(processor.tokenizer, f" {text}"))


def _inputs(model: Any, rows: list[list[int]], pixels: list[Tensor], pad: int) -> dict[str, Tensor]:
    """The model's inputs, padded on the left."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    inputs = {"input_ids": ids, "attention_mask": mask}
    images = [part for part in pixels if len(part)]
    if images:
        inputs["pixel_values"] = torch.cat(images)
    return {name: tensor.to(model.device) for name, tensor in inputs.items()}
