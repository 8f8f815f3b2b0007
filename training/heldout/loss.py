"""Loss of held-out answers: what a model that is too small to answer right has learnt all the same.

The samples of the training tasks are encoded as training encodes them, alone, with the images of the held-out side.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import torch
import xxhash

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, load_processor
from qvl.pipeline.images.decode import PixelError
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.pipeline.shards.scan import scan_dataset
from qvl.training.data.encode import Encoder, Rule, SampleError
from qvl.training.data.loader import Assembler
from qvl.training.heldout.documents import is_held_out, pages_of_known_documents
from qvl.training.loop.training_model import TrainingModel
from qvl.training.recipe import Holdout

LENGTH = 2048
DIALOGUE = " in a dialogue"
DIALOGUES = ("caption", "vqa", "referring")
"""Tasks that are measured as dialogues, too: how stage 3 asks."""
OTHER = " with another picture"
"""Captions beside the picture of another caption: what a model knows without looking."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out sample: its JSON and the bytes of its images."""

    task: str
    content: dict[str, Any]
    images: tuple[bytes, ...]


class Loss(NamedTuple):
    """Of a task: per token, the standard error over samples, how many of each, and (sum, tokens) by sample id."""

    loss: float
    standard_error: float
    tokens: int
    samples: int
    each: Mapping[str, tuple[float, int]] = {}


def held_out_samples(paths: Mapping[str, str], holdout: Holdout, limit: int) -> list[HeldOut]:
    """At most ``limit`` samples of each task that training leaves out, by the hash of their ids. Raises DataError."""
    found: dict[str, list[tuple[int, HeldOut]]] = defaultdict(list)
    known = pages_of_known_documents(paths, holdout)
    for path in paths.values():
        for scanned in scan_dataset(open_dataset(path)):
            if is_held_out(scanned, holdout) and scanned.key not in known:
                content = scanned.content()
                images = tuple(scanned.image(number) for number in range(len(scanned.images)))
                rank = xxhash.xxh3_64_intdigest(scanned.key.encode(), holdout.seed)
                found[content["task"]].append((rank, HeldOut(content["task"], content, images)))
    ordered = {task: sorted(found[task], key=lambda pair: pair[0])[:limit] for task in sorted(found)}
    return [sample for chosen in ordered.values() for _, sample in chosen]


def held_out_loss(folder: Path, samples: Sequence[HeldOut], device: str = "cpu") -> dict[str, Loss]:
    """Loss per learnt token by task, then of some tasks as dialogues; what cannot be encoded is left out and not counted."""
    net, processor = load_model(folder), load_processor(folder)
    assert isinstance(net, QwenVLForConditionalGeneration)
    model = TrainingModel(net).eval().to(device)
    size = int(processor.image_processor.image_size)
    found: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    spoken = [sample for sample in samples if sample.task in DIALOGUES]
    asked = (("", samples), (DIALOGUE, spoken), (OTHER, beside_others(samples)))
    for addition, chosen in asked:
        rule = Rule(LENGTH, processor.image_seq_length, "all" if addition == DIALOGUE else "chat")
        assembler = Assembler(Encoder(processor.tokenizer, rule), size, False, ShardBytes())
        for sample in chosen:
            one = _loss(model, assembler, sample)
            if one is not None:
                found[sample.task + addition][sample.content["id"]] = one
    return {name: summed(each) for name, each in found.items()}


def beside_others(samples: Sequence[HeldOut]) -> list[HeldOut]:
    """The captions, each with the picture of the next one."""
    captions = [sample for sample in samples if sample.task == "caption"]
    others = captions[1:] + captions[:1]
    return [
        replace(own, images=other.images)
        for own, other in zip(captions, others, strict=True)
        if len(own.images) == len(other.images)
    ]


def change(before: Loss, after: Loss) -> tuple[float, float]:
    """By how much the loss changed of the samples that both have, and the standard error of that (over samples, paired)."""
    both = [key for key in before.each if key in after.each]
    found = summed({key: (after.each[key][0] - before.each[key][0], before.each[key][1]) for key in both})
    return found.loss, found.standard_error


def summed(each: Mapping[str, tuple[float, int]]) -> Loss:
    """From (sum of losses, tokens) by sample: a ratio of sums, its error by linearisation."""
    pairs = list(each.values())
    tokens = sum(count for _, count in pairs)
    loss = sum(total for total, _ in pairs) / tokens
    each = {key: (round(total, 4), count) for key, (total, count) in each.items()}
    if len(pairs) < 2:
        return Loss(round(loss, 6), 0.0, tokens, len(pairs), each)
    spread = sum((total - loss * count) ** 2 for total, count in pairs) * len(pairs) / (len(pairs) - 1)
    return Loss(round(loss, 6), round(sqrt(spread) / tokens, 6), tokens, len(pairs), each)


def _loss(model: TrainingModel, assembler: Assembler, sample: HeldOut) -> tuple[float, int] | None:
    try:
        encoded = assembler.encoder.encode(sample.content)
        pictures = [assembler.picture(sample.images[number]) for number in encoded.images]
    except (SampleError, PixelError):
        return None
    pixels = torch.stack([torch.from_numpy(each) for each in pictures]) if pictures else None
    ids, labels = (torch.from_numpy(each).long()[None] for each in (encoded.ids, encoded.labels))
    device = model.shift.device
    with torch.no_grad():
        _, losses = model(ids.to(device), labels.to(device), None, None if pixels is None else pixels.to(device))
    return (float(losses.sum()), len(losses)) if len(losses) else None
