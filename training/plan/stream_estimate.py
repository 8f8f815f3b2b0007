"""What a stage's stream holds on average, from its first samples: encoded like the loader, packed like the schedule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
from transformers import PreTrainedTokenizerBase

from qvl.model.network.config import IGNORE
from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.mixture import Mixture
from qvl.pipeline.shards.reader import Indexes
from qvl.pipeline.shards.sample_bytes import ShardBytes
from qvl.training.data.encode import Encoder, Rule, SampleError
from qvl.training.data.packing import pack
from qvl.training.data.schedule import MixPart
from qvl.training.plan.cost import Load
from qvl.training.recipe import StageSpec

Ints = npt.NDArray[np.int64]
CHARACTERS_PER_TOKEN = {"en": 4.0, "zh": 1.5}
"""Of plain text in Qwen's vocabulary, about; markup and digits take more tokens than that."""
USUAL_CHARACTERS = 3.0
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True)
class Drawn:
    """Columns of the first samples of a stage.

    ``characters``: as the index has them. ``tokens`` 0: cannot be trained on. ``exact``: encoded, not estimated.
    """

    part: Ints
    task: Ints
    characters: Ints
    tokens: Ints
    images: Ints
    labels: Ints
    exact: bool


@dataclass(frozen=True)
class Stream:
    """Means of a stage's stream.

    ``load``: of one sample, padding with it. ``largest``: of the largest micro-batch. ``tokens``, ``labels``: of one sample,
    without padding. ``useful``: tokens of all positions. ``fill``: tokens of all sequences at full length.
    """

    load: Load
    largest: Load
    tokens: float
    samples_per_sequence: float
    useful: float
    fill: float
    unusable: float


def draw(
    stage: StageSpec,
    parts: list[MixPart],
    seed: int,
    count: int,
    tokenizer: PreTrainedTokenizerBase | None,
    positions: int,
) -> Drawn:
    """The first ``count`` samples. Without a tokenizer tokens are estimated from the index's characters."""
    mixture = Mixture([part.component() for part in parts], seed, stage.window)
    draws = mixture.draws(0, count)
    indexes = Indexes(
        ("task", "language", "text_length", "json_offset", "json_size", "image_sizes"), keep=len(parts) + 1
    )
    rule = Rule.of(stage, positions)
    measure = Measure(tokenizer, rule)
    columns = np.zeros((5, count), dtype=np.int64)
    words: dict[str, int] = {}
    pairs = draws.component * (1 << 32) + draws.shard
    for pair in np.unique(pairs).tolist():
        number, at = divmod(pair, 1 << 32)
        here = np.flatnonzero(pairs == pair)
        shard = parts[number].dataset.shards[at]
        rows = indexes.table(shard, parts[number].selection).take(draws.rank[here]).to_pylist()
        for place, row in zip(here.tolist(), rows, strict=True):
            task = words.setdefault(row["task"], len(words))
            columns[:, place] = (task, row["text_length"], *measure(shard.tar, row))
    measure.reader.close()
    task_column, characters, tokens, images, labels = (columns[at] for at in range(5))
    return Drawn(draws.component, task_column, characters, tokens, images, labels, tokenizer is not None)


class Measure:
    """Tokens, images and labels of a row of an index; each sample is read once however often it is drawn."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase | None, rule: Rule) -> None:
        self.rule, self.reader = rule, ShardBytes()
        self.encoder = None if tokenizer is None else Encoder(tokenizer, rule)
        self._known: dict[tuple[str, int], tuple[int, int, int]] = {}

    def __call__(self, tar: str, row: dict[str, object]) -> tuple[int, int, int]:
        offset, size, images = row["json_offset"], row["json_size"], row["image_sizes"]
        assert isinstance(offset, int) and isinstance(size, int) and isinstance(images, list)
        key = (tar, offset)
        if key not in self._known:
            found = (
                self._estimated(row, len(images))
                if self.encoder is None
                else self._encoded(tar, offset, size, len(images))
            )
            self._known[key] = found
        return self._known[key]

    def _encoded(self, tar: str, offset: int, size: int, images: int) -> tuple[int, int, int]:
        assert self.encoder is not None
        try:
            content = orjson.loads(self.reader.read(tar, offset, size))
            sample = self.encoder.encode(content)
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


def assumed(stage: StageSpec, text: int, positions: int, images: int = 1) -> Drawn:
    """Equal samples of one image and so many text tokens, all of them learnt: a plan without data."""
    count = max(64, len(stage.mix))
    images = 0 if stage.stage == "language" else images
    tokens = min(stage.length, text + images * (positions + 2))

    def every(value: int) -> Ints:
        return np.full(count, value, dtype=np.int64)

    part = np.arange(count) % len(stage.mix)
    return Drawn(part, every(0), every(text), every(tokens), every(images), every(min(text, tokens)), False)


def stream(stage: StageSpec, drawn: Drawn, size: Ints) -> Stream:
    """Averages over the drawn samples, in micro-batches as the schedule makes them; ``size``: what it sorts samples by."""
    usable = drawn.tokens > 0
    if not usable.any():
        raise DataError(
            f"stage {stage.label}: none of the first {len(usable)} samples can be trained on; look at `qvl view`"
        )
    loads, sequences = [], 0
    for group in _micro_batches(stage, drawn, size):
        sequences += len(group)
        loads.append(_load(stage, drawn, group))
    count, tokens = int(usable.sum()), float(drawn.tokens.sum())
    total = Load(
        *(sum(column) for column in zip(*((x.images, x.tokens, x.pairs, x.labels) for x in loads), strict=True))
    )
    largest = max(loads, key=lambda load: load.tokens + load.images * stage.resolution**2 / 196)
    return Stream(
        load=total.times(1 / count),
        largest=largest,
        tokens=tokens / count,
        samples_per_sequence=count / sequences,
        useful=tokens / total.tokens,
        fill=tokens / (sequences * stage.length),
        unusable=1 - count / len(usable),
    )


def _micro_batches(stage: StageSpec, drawn: Drawn, size: Ints) -> Iterator[list[Sequence[int]]]:
    """Sequences of sample numbers: those of a step by length, so many at a time (qvl.training.data.schedule)."""
    together = stage.pack_window if stage.packing != "none" and stage.batch.unit == "sequences" else stage.batch.size
    for first in range(0, len(drawn.tokens), together):
        span = slice(first, first + together)
        sequences: list[tuple[int, ...]]
        if stage.packing == "none":
            sequences = [(at,) for at in range(len(drawn.tokens[span])) if drawn.tokens[span][at] > 0]
        else:
            sequences = pack(
                drawn.tokens[span], drawn.images[span], drawn.task[span], stage.length, stage.images_per_sequence
            )
        sizes = np.array([size[span][list(sequence)].sum() for sequence in sequences])
        order = np.argsort(-sizes, kind="stable").tolist()
        for at in range(0, len(order), stage.batch.micro):
            yield [[first + number for number in sequences[n]] for n in order[at : at + stage.batch.micro]]


def _load(stage: StageSpec, drawn: Drawn, group: list[Sequence[int]]) -> Load:
    """A micro-batch, padded to its longest sequence. Isolated samples attend to themselves alone."""
    width = max(int(drawn.tokens[list(sequence)].sum()) for sequence in group)
    every = [number for sequence in group for number in sequence]
    pairs = float((drawn.tokens[every] ** 2).sum()) if stage.packing == "isolated" else float(len(group) * width**2)
    return Load(float(drawn.images[every].sum()), float(len(group) * width), pairs, float(drawn.labels[every].sum()))
