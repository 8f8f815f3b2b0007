"""What a schedule plans: samples, micro-batches, steps, and the position of a stream between two steps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampleRef:
    """A sample in its shard. ``json`` and ``images``: (offset, size) in the tar ``tar``, in bytes.

    ``tokens``: its planned length, 0 where lengths were not measured. ``part``: its number in the stage's mix.
    """

    key: str
    part: int
    tar: str
    json: tuple[int, int]
    images: tuple[tuple[int, int], ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward pass of one rank: sequences of samples. It is empty where a rank has nothing left in the last turn."""

    step: int
    sequences: tuple[tuple[SampleRef, ...], ...]


@dataclass(frozen=True, slots=True)
class RejectedSample:
    """A sample that is not trained on: its id, its shard (path of the tar), and the reason."""

    key: str
    shard: str
    reason: str


@dataclass(frozen=True, slots=True)
class StreamState:
    """The position of a stream: steps done; for packed sequences also the window, and how many of its sequences are used.

    ``receipt``: running xxh3-128 of the ids of all samples so far, as hex (the data receipt); empty before the first step.
    """

    step: int
    window: int
    offset: int
    receipt: str


STREAM_START = StreamState(0, 0, 0, "")


@dataclass(frozen=True, slots=True)
class Step:
    """A planned step. ``micro_batches`` are those of one rank; ``ids`` are the samples of all ranks, ``samples`` how many.

    ``left_out``: samples of the step that measuring found unusable.
    """

    number: int
    micro_batches: tuple[MicroBatch, ...]
    samples: int
    ids: tuple[str, ...]
    left_out: tuple[RejectedSample, ...]
    after: StreamState
