"""Loss of the true answers of held-out samples: it shows progress before a small model gives right answers.

The samples of the training tasks are encoded as training encodes them, one sequence per sample.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from pathlib import Path

import torch
import xxhash
from pydantic import JsonValue

from qvl.model.network.qwen_vl import QwenVLForConditionalGeneration
from qvl.model.weights.auto import load_model, load_processor
from qvl.pipeline.images.decode import PixelError
from qvl.pipeline.shards.reader import open_dataset
from qvl.pipeline.shards.sample import SampleRecord
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.pipeline.shards.scan import scan_dataset
from qvl.training.data.encode import Encoder, Rule, SampleError
from qvl.training.data.loader import Assembler
from qvl.training.heldout.documents import is_held_out, pages_of_known_documents
from qvl.training.recipe import Holdout
from qvl.training.weights.training_model import TrainingModel

LENGTH = 2048
DIALOGUE = " in a dialogue"
DIALOGUES = ("caption", "vqa", "referring")
"""Tasks that are also measured as dialogues, as stage 3 asks them."""
OTHER = " with another picture"
"""Captions with the image of another caption: what a model knows without looking."""


@dataclass(frozen=True, slots=True)
class HeldOutSample:
    """A held-out sample and the bytes of its images. ``task``: under which its loss is counted."""

    task: str
    record: SampleRecord
    images: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """The loss of a task per supervised token, and its standard error over samples.

    ``by_sample``: the sum of the losses and the number of tokens of each sample, by its id.
    """

    loss: float
    standard_error: float
    tokens: int
    samples: int
    by_sample: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def to_json(self) -> list[JsonValue]:
        """The values in the order of the fields."""
        by_sample: dict[str, JsonValue] = {key: list(pair) for key, pair in self.by_sample.items()}
        return [self.loss, self.standard_error, self.tokens, self.samples, by_sample]


def held_out_samples(paths: Mapping[str, str], holdout: Holdout, limit: int) -> list[HeldOutSample]:
    """At most ``limit`` held-out samples of each task, chosen by the hash of their ids. Raises DataError."""
    ranked: dict[str, list[tuple[int, HeldOutSample]]] = defaultdict(list)
    known = pages_of_known_documents(paths, holdout)
    for path in paths.values():
        for scanned in scan_dataset(open_dataset(path)):
            if is_held_out(scanned, holdout) and scanned.key not in known:
                record = scanned.record()
                images = tuple(scanned.image(number) for number in range(len(scanned.images)))
                rank = xxhash.xxh3_64_intdigest(scanned.key.encode(), holdout.seed)
                ranked[record.task].append((rank, HeldOutSample(record.task, record, images)))
    ordered = {task: sorted(ranked[task], key=lambda pair: pair[0])[:limit] for task in sorted(ranked)}
    return [sample for chosen in ordered.values() for _, sample in chosen]


def held_out_loss(folder: Path, samples: Sequence[HeldOutSample], device: str = "cpu") -> dict[str, TaskLoss]:
    """The loss per supervised token by task, then of some as dialogues. Samples that cannot be encoded are left out."""
    net, processor = load_model(folder), load_processor(folder)
    assert isinstance(net, QwenVLForConditionalGeneration)
    model = TrainingModel(net).eval().to(device)
    size = int(processor.image_processor.image_size)
    losses: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    in_dialogue = [sample for sample in samples if sample.task in DIALOGUES]
    for suffix, chosen in (("", samples), (DIALOGUE, in_dialogue), (OTHER, with_other_images(samples))):
        rule = Rule(LENGTH, processor.image_seq_length, "all" if suffix == DIALOGUE else "chat")
        assembler = Assembler(Encoder(processor.tokenizer, rule), size, False, ShardBytes())
        for sample in chosen:
            one = _sample_loss(model, assembler, sample)
            if one is not None:
                losses[sample.task + suffix][sample.record.id] = one
    return {name: summed(each) for name, each in losses.items()}


def with_other_images(samples: Sequence[HeldOutSample]) -> list[HeldOutSample]:
    """The captions, each with the images of the next one."""
    captions = [sample for sample in samples if sample.task == "caption"]
    others = captions[1:] + captions[:1]
    return [
        replace(own, images=other.images)
        for own, other in zip(captions, others, strict=True)
        if len(own.images) == len(other.images)
    ]


def change(before: TaskLoss, after: TaskLoss) -> tuple[float, float]:
    """The change of the loss over the samples that both have, and its standard error (paired, over samples)."""
    first, second = before.by_sample, after.by_sample
    changes = summed({key: (second[key][0] - first[key][0], first[key][1]) for key in first if key in second})
    return changes.loss, changes.standard_error


def summed(by_sample: Mapping[str, tuple[float, int]]) -> TaskLoss:
    """The loss of (sum of losses, tokens) by sample: a ratio of sums, with its error by linearisation."""
    pairs = list(by_sample.values())
    tokens = sum(count for _, count in pairs)
    loss = sum(total for total, _ in pairs) / tokens
    rounded = {key: (round(total, 4), count) for key, (total, count) in by_sample.items()}
    if len(pairs) < 2:
        return TaskLoss(round(loss, 6), 0.0, tokens, len(pairs), rounded)
    spread = sum((total - loss * count) ** 2 for total, count in pairs) * len(pairs) / (len(pairs) - 1)
    return TaskLoss(round(loss, 6), round(sqrt(spread) / tokens, 6), tokens, len(pairs), rounded)


def _sample_loss(model: TrainingModel, assembler: Assembler, sample: HeldOutSample) -> tuple[float, int] | None:
    """The sum of the losses and the number of supervised tokens; None if the sample cannot be encoded or has none."""
    try:
        encoded = assembler.encoder.encode(sample.record)
        pictures = [assembler.picture(sample.images[number]) for number in encoded.images]
    except (SampleError, PixelError):
        return None
    pixels = torch.stack([torch.from_numpy(each) for each in pictures]) if pictures else None
    ids, labels = (torch.from_numpy(each).long()[None] for each in (encoded.ids, encoded.labels))
    device = model.shift.device
    with torch.no_grad():
        _, losses = model(ids.to(device), labels.to(device), None, None if pixels is None else pixels.to(device))
    return (float(losses.sum()), len(losses)) if len(losses) else None
