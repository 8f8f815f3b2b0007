"""What a stage's stream holds on average: its first samples, encoded as the loader does and packed as the schedule does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from qvl.model.network.config import IGNORE
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.mixture import Mixture
from qvl.pipeline.shards.reader import Indexes
from qvl.pipeline.shards.sample import decode_sample
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder, Rule, SampleError
from qvl.training.data.packing import micro_batches, plan_sequences, planned_together
from qvl.training.data.parts import MixPart
from qvl.training.data.samples import positions_by_shard
from qvl.training.plan.cost import Load
from qvl.training.recipe import StageSpec

Ints = npt.NDArray[np.int64]
COLUMNS = ("task", "language", "text_length", "json_offset", "json_size", "image_sizes")
CHARACTERS_PER_TOKEN = {"en": 4.0, "zh": 1.5}
"""About, for plain text in Qwen's vocabulary; markup and digits have fewer characters per token."""
USUAL_CHARACTERS = 3.0
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True, slots=True)
class StreamSample:
    """Columns of the first samples of a stage's stream.

    ``parts``: numbers in the mix. ``characters``: as the index has them. ``tokens``: 0 for an unusable sample. ``labels``:
    tokens with a loss.
    """

    parts: Ints
    tasks: Ints
    characters: Ints
    tokens: Ints
    images: Ints
    labels: Ints


@dataclass(frozen=True, slots=True)
class StreamMeans:
    """Means of a stage's stream.

    ``load``: of one sample, with its share of the padding. ``largest``: of the largest micro-batch. ``tokens``: of one
    sample, without padding. ``useful``: tokens as a share of all computed positions. ``fill``: tokens as a share
    of all sequences at full length. ``unusable``: share of the samples that cannot be trained on.
    """

    load: Load
    largest: Load
    tokens: float
    samples_per_sequence: float
    useful: float
    fill: float
    unusable: float


def sample_stream(
    stage: StageSpec,
    parts: list[MixPart],
    seed: int,
    count: int,
    tokenizer: PreTrainedTokenizerBase | None,
    positions: int,
) -> StreamSample:
    """The first ``count`` samples. Without a tokenizer, tokens are estimated from the index's characters.

    ``positions``: tokens that one image takes.
    """
    draws = Mixture([part.component() for part in parts], seed, stage.window).draws(0, count)
    indexes = Indexes(COLUMNS, keep=len(parts) + 1)
    measure = Measure(tokenizer, Rule.of(stage, positions))
    tasks, characters, tokens, images, labels = np.zeros((5, count), dtype=np.int64)
    task_numbers: dict[str, int] = {}
    for part, number, found in positions_by_shard(draws):
        shard = parts[part].dataset.shards[number]
        rows = indexes.table(shard, parts[part].selection).take(draws.rank[found]).to_pylist()
        for position, row in zip(found.tolist(), rows, strict=True):
            tasks[position] = task_numbers.setdefault(row["task"], len(task_numbers))
            characters[position] = row["text_length"]
            tokens[position], images[position], labels[position] = measure(shard.tar, row)
    measure.reader.close()
    return StreamSample(draws.component, tasks, characters, tokens, images, labels)


class Measure:
    """The tokens, images and labels of a row of an index. Each sample is read once, however often it is drawn."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None, rule: Rule) -> None:
        self.rule, self.reader = rule, ShardBytes()
        self.encoder = None if tokenizer is None else Encoder(tokenizer, rule)
        self._known: dict[tuple[str, int], tuple[int, int, int]] = {}

    def __call__(self, tar: str, row: dict[str, object]) -> tuple[int, int, int]:
        offset, size, images = row["json_offset"], row["json_size"], row["image_sizes"]
        assert isinstance(offset, int) and isinstance(size, int) and isinstance(images, list)
        key = (tar, offset)
        if key not in self._known:
            self._known[key] = (
                self._estimated(row, len(images))
                if self.encoder is None
                else self._encoded(self.encoder, tar, offset, size, len(images))
            )
        return self._known[key]

    def _encoded(self, encoder: Encoder, tar: str, offset: int, size: int, images: int) -> tuple[int, int, int]:
        try:
            sample = encoder.encode(decode_sample(self.reader.read(tar, offset, size), tar, f"sample at byte {offset}"))
        except (SampleError, DataError, *UNREADABLE):
            return 0, 0, 0
        if any(number >= images for number in sample.images):
            return 0, 0, 0
        return len(sample.ids), len(sample.images), int((sample.labels != IGNORE).sum())

    def _estimated(self, row: dict[str, object], images: int) -> tuple[int, int, int]:
        characters, language = row["text_length"], str(row["language"])
        images = images if self.rule.pictures else 0
        assert isinstance(characters, int)
        text = round(characters / CHARACTERS_PER_TOKEN.get(language, USUAL_CHARACTERS)) + 1
        text = max(1, min(text, self.rule.length - images * (self.rule.positions + 2)))
        return text + images * (self.rule.positions + 2), images, text


def assumed_stream(stage: StageSpec, text: int, positions: int) -> StreamSample:
    """Equal samples of one image and ``text`` supervised text tokens: a plan without data."""
    count = max(64, len(stage.mix))
    images = 0 if stage.stage == "language" else 1
    tokens = min(stage.length, text + images * (positions + 2))

    def column(value: int) -> Ints:
        return np.full(count, value, dtype=np.int64)

    parts = np.arange(count) % len(stage.mix)
    return StreamSample(parts, column(0), column(text), column(tokens), column(images), column(min(text, tokens)))


def stream_means(stage: StageSpec, sample: StreamSample, sizes: Ints) -> StreamMeans:
    """Means over a sample of the stream. ``sizes``: what the schedule sorts samples by, tokens or characters.

    Raises DataError where none of the samples can be trained on.
    """
    usable = sample.tokens > 0
    if not usable.any():
        raise DataError(
            f"stage {stage.label}: none of the first {len(usable)} samples can be trained on; look at `qvl view`"
        )
    loads, sequences = [], 0
    for group in _micro_batches(stage, sample, sizes):
        sequences += len(group)
        loads.append(_load(stage, sample, group))
    count, tokens = int(usable.sum()), float(sample.tokens.sum())
    total = Load(
        sum(load.images for load in loads),
        sum(load.tokens for load in loads),
        sum(load.pairs for load in loads),
        sum(load.labels for load in loads),
    )
    return StreamMeans(
        load=total.times(1 / count),
        largest=max(loads, key=lambda load: load.tokens + load.images * stage.resolution**2 / 196),
        tokens=tokens / count,
        samples_per_sequence=count / sequences,
        useful=tokens / total.tokens,
        fill=tokens / (sequences * stage.length),
        unusable=1 - count / len(usable),
    )


def _micro_batches(stage: StageSpec, sample: StreamSample, sizes: Ints) -> Iterator[list[list[int]]]:
    """The micro-batches of the sample, as sequences of sample numbers."""
    together = planned_together(stage)
    for first in range(0, len(sample.tokens), together):
        span = slice(first, first + together)
        tokens = sample.tokens[span]
        sequences = plan_sequences(stage, tokens > 0, tokens, sample.images[span], sample.tasks[span])
        for group in micro_batches(sequences, sizes[span], stage.batch.micro):
            yield [[first + position for position in sequence] for sequence in group]


def _load(stage: StageSpec, sample: StreamSample, group: Sequence[Sequence[int]]) -> Load:
    """A micro-batch, padded to its longest sequence. Packed samples that are isolated attend to themselves alone."""
    width = max(int(sample.tokens[list(sequence)].sum()) for sequence in group)
    numbers = [number for sequence in group for number in sequence]
    isolated = stage.packing == "isolated"
    pairs = float((sample.tokens[numbers] ** 2).sum()) if isolated else float(len(group) * width**2)
    images, labels = float(sample.images[numbers].sum()), float(sample.labels[numbers].sum())
    return Load(images, float(len(group) * width), pairs, labels)
