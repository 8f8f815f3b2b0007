"""Which samples make up which optimizer step, and which rank computes which of them.

A schedule is a pure function of (recipe, seed, state). Every rank plans a step as a whole, packing included, and then takes
its own micro-batches, so that a step holds the same samples at any number of ranks. The state is three integers and the data
receipt, the running hash of all sample ids so far.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from qvl.pipeline.base.errors import DataError
from qvl.training.data.lengths import HELD_OUT, LengthsFolder
from qvl.training.data.packing import micro_batches, plan_sequences
from qvl.training.data.parts import MixPart
from qvl.training.data.samples import SampleLookup, SampleTable, join_tables
from qvl.training.data.steps import MicroBatch, RejectedSample, Step, StreamState
from qvl.training.recipe import StageSpec


@dataclass(frozen=True, slots=True)
class _Sequences:
    """Samples, and sequences of them as tuples of their positions in the table."""

    samples: SampleTable
    sequences: list[tuple[int, ...]]


class Schedule:
    """Plans the steps of a stage. ``lengths``: measured lengths, needed to pack samples and to leave out held-out ones."""

    def __init__(self, stage: StageSpec, parts: list[MixPart], seed: int, lengths: LengthsFolder | None = None) -> None:
        self.stage, self.parts, self.seed = stage, parts, seed
        self.lookup = SampleLookup(parts, seed, stage.window, lengths)
        self._windows: dict[int, _Sequences] = {}

    def steps(self, state: StreamState, rank: int, world: int) -> Iterator[Step]:
        """The steps after a state, without end, as ``rank`` of ``world`` sees them."""
        while True:
            step = self.plan(state, rank, world)
            state = step.after
            yield step

    def nearby_tars(self) -> list[str]:
        """The shards that the steps planned last, and those after them, are read from."""
        return self.lookup.nearby_tars()

    def plan(self, state: StreamState, rank: int, world: int) -> Step:
        """The step after a state, as ``rank`` of ``world`` sees it. Raises DataError where no sample is usable."""
        if self.stage.steps_count_packs:
            planned, window, offset = self._from_windows(state)
        else:
            size = self.stage.batch.size
            planned, window, offset = self._sequences(state.step * size, size, state.step), 0, 0
        samples = planned.samples
        ids = tuple(samples.keys[position] for position in sorted(itertools.chain(*planned.sequences)))
        receipt = xxhash.xxh3_128_hexdigest("\n".join([state.receipt, *ids]).encode())
        batches = tuple(
            MicroBatch(state.step, tuple(tuple(samples.ref(at) for at in sequence) for sequence in group))
            for group in self._groups_of_rank(planned, rank, world)
        )
        after = StreamState(state.step + 1, window, offset, receipt)
        return Step(state.step, batches, len(ids), ids, _left_out(samples), after)

    def _groups_of_rank(self, planned: _Sequences, rank: int, world: int) -> list[Sequence[tuple[int, ...]]]:
        """The micro-batches of a rank: as many for every rank, of which the last one may be empty.

        They are dealt out in turns, so that ranks compute similar lengths at the same time. For example, 5 micro-batches
        over 2 ranks take 3 turns: rank 0 gets numbers 0, 2 and 4, rank 1 gets 1, 3 and an empty one.
        """
        groups = micro_batches(planned.sequences, planned.samples.sizes, self.stage.batch.micro)
        turns = -(-len(groups) // world)
        return [groups[at] if (at := turn * world + rank) < len(groups) else [] for turn in range(turns)]

    def _from_windows(self, state: StreamState) -> tuple[_Sequences, int, int]:
        """The next ``batch.size`` packed sequences, and the window and offset after them.

        A step may reach over the end of a window. For example, with windows of 8 sequences and steps of 5, the state
        (window 0, offset 5) takes sequences 5 to 7 of window 0 and 0 to 1 of window 1; (window 1, offset 2) follows.
        """
        window, offset, missing = state.window, state.offset, self.stage.batch.size
        taken: list[_Sequences] = []
        while missing:
            whole = self._packed_window(window)
            sequences = whole.sequences[offset : offset + missing]
            missing -= len(sequences)
            samples = whole.samples
            if offset:  # left out samples are reported once, with the first sequences of their window
                samples = dataclasses.replace(samples, reasons=[None] * len(samples.keys))
            taken.append(_Sequences(samples, sequences))
            offset += len(sequences)
            if offset == len(whole.sequences):
                window, offset = window + 1, 0
        return _joined(taken), window, offset

    def _packed_window(self, window: int) -> _Sequences:
        """All sequences of a window in their seeded order. The last two windows are kept."""
        if window not in self._windows:
            size = self.stage.pack_window
            planned = self._sequences(window * size, size, window)
            if not planned.sequences:
                raise _nothing_usable(self.parts)
            while len(self._windows) > 1:
                del self._windows[min(self._windows)]
            self._windows[window] = planned
        return self._windows[window]

    def _sequences(self, first: int, count: int, number: int) -> _Sequences:
        """The sequences of ``count`` samples from position ``first``; ``number`` seeds the order of packed ones."""
        samples = self.lookup.samples(first, first + count)
        found = plan_sequences(self.stage, samples.usable, samples.tokens, samples.images, samples.tasks)
        if self.stage.packing != "none":
            order = np.random.Generator(np.random.Philox(key=[self.seed, number])).permutation(len(found))
            found = [found[at] for at in order.tolist()]
        return _Sequences(samples, found)


def _left_out(samples: SampleTable) -> tuple[RejectedSample, ...]:
    """Unusable samples. Held-out ones are left out on purpose and not reported."""
    return tuple(
        RejectedSample(key, row.shard.tar, reason)
        for key, row, reason in zip(samples.keys, samples.rows, samples.reasons, strict=True)
        if reason and reason != HELD_OUT
    )


def _joined(taken: Sequence[_Sequences]) -> _Sequences:
    """The samples of several windows in one table, and their sequences with positions in that table.

    For example, behind a window of 40 samples the sequence (0, 3) of the next window becomes (40, 43).
    """
    starts = itertools.accumulate((len(each.samples.keys) for each in taken), initial=0)
    sequences = [
        tuple(position + start for position in sequence)
        for start, each in zip(starts, taken, strict=False)  # there is one start more than tables: the end
        for sequence in each.sequences
    ]
    return _Sequences(join_tables([each.samples for each in taken]), sequences)


def _nothing_usable(parts: list[MixPart]) -> DataError:
    """The error for a window without a usable sample, which would otherwise make the stream run for ever."""
    return DataError(
        f"no sample of {', '.join(part.label for part in parts)} can be trained on; see lengths/ for the reasons"
    )
