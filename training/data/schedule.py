"""Which samples make which optimizer step, and which rank computes what: pure functions of (recipe, seed, state).

Packing comes before the split over ranks, and a step is planned as a whole by every rank, so its samples are the same at any
world size. The state is three integers and the running hash of all sample ids so far (the data receipt).
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from qvl.pipeline.base.errors import DataError
from qvl.pipeline.shards.mixture import Component, Mixture
from qvl.pipeline.shards.reader import Dataset, Indexes, Selection, ShardFile
from qvl.training.data.lengths import HELD_OUT, Lengths, lengths_path, read_lengths
from qvl.training.data.packing import pack
from qvl.training.recipe import StageSpec

Ints = npt.NDArray[np.int64]
COLUMNS = ("key", "task", "text_length", "json_offset", "json_size", "image_offsets", "image_sizes")
LENGTHS_KEPT = 256


@dataclass(frozen=True)
class SampleRef:
    """A sample where it lies. ``tokens`` as planned, 0 where nothing was measured; ``part`` numbers the stage's mix."""

    key: str
    part: int
    tar: str
    json: tuple[int, int]
    images: tuple[tuple[int, int], ...]
    tokens: int


@dataclass(frozen=True)
class MicroBatch:
    """One forward pass of one rank: sequences of samples; none where this rank only keeps the others company."""

    step: int
    sequences: tuple[tuple[SampleRef, ...], ...]


@dataclass(frozen=True)
class State:
    """Where a stream stands: steps done, and for packed sequences the window and how many of its sequences are used."""

    step: int = 0
    window: int = 0
    offset: int = 0
    receipt: str = ""


@dataclass(frozen=True)
class Step:
    """A planned step, as one rank sees it. ``left_out``: samples that lengths found unusable, (id, shard, reason)."""

    number: int
    micro_batches: tuple[MicroBatch, ...]
    samples: int
    ids: tuple[str, ...]
    left_out: tuple[tuple[str, str, str], ...]
    after: State


@dataclass(frozen=True)
class MixPart:
    """A dataset as it takes part in a stage, with the rows of each shard that are selected."""

    label: str
    dataset: Dataset
    selection: Selection
    weight: float
    rows: tuple[int, ...]

    def component(self) -> Component:
        names = [shard.name for shard in self.dataset.shards]
        return Component(self.label, tuple(zip(names, self.rows, strict=True)), self.weight)

    def tar_of(self, name: str) -> str:
        return f"{self.dataset.folder}/{name}.tar"


def mix_parts(stage: StageSpec, datasets: dict[str, Dataset]) -> list[MixPart]:
    """The parts of a stage. Where a part selects samples, the indexes of all its shards are read once."""
    parts = []
    for spec in stage.mix:
        dataset, selection = datasets[spec.dataset], spec.selection
        rows = tuple(shard.samples for shard in dataset.shards)
        if selection:
            indexes = Indexes((), keep=1)
            rows = tuple(indexes.table(shard, selection).num_rows for shard in dataset.shards)
        parts.append(MixPart(spec.label, dataset, selection, spec.weight, rows))
    return parts


@dataclass
class _Chosen:
    """Samples of consecutive positions, as columns in that order."""

    keys: list[str]
    task: Ints
    tokens: Ints
    images: Ints
    size: Ints  # characters, for samples that are not measured
    reasons: list[str | None]
    rows: list[tuple[int, ShardFile, pa.Table, int]]

    def ref(self, at: int) -> SampleRef:
        part, shard, table, row = self.rows[at]
        cell = {name: table.column(name)[row].as_py() for name in COLUMNS[3:]}
        images = tuple(zip(cell["image_offsets"], cell["image_sizes"], strict=True))
        json = cell["json_offset"], cell["json_size"]
        return SampleRef(self.keys[at], part, shard.tar, json, images, int(self.tokens[at]))


class Schedule:
    """Plans a stage's steps. ``lengths``: folder and mark of measured lengths, for packing and for what is held out."""

    def __init__(
        self, stage: StageSpec, parts: list[MixPart], seed: int, lengths: tuple[Path, str] | None = None
    ) -> None:
        self.stage, self.parts, self.lengths, self.seed = stage, parts, lengths, seed
        self.mixture = Mixture([part.component() for part in parts], seed, stage.window)
        self._indexes = Indexes(COLUMNS, keep=2 * stage.window * len(parts))
        self._measured: dict[str, Lengths] = {}
        self._selected: dict[tuple[int, str], Ints] = {}
        self._tasks: dict[str, int] = {}
        self._windows: dict[int, tuple[_Chosen, list[tuple[int, ...]]]] = {}

    @property
    def packed(self) -> bool:
        return self.stage.packing != "none"

    def steps(self, state: State, rank: int, world: int) -> Iterator[Step]:
        """The steps after a state, without end, as ``rank`` of ``world`` sees them."""
        while True:
            step = self.plan(state, rank, world)
            state = step.after
            yield step

    def near(self) -> list[str]:
        """The shards that the steps planned last and those after them are read from."""
        return [part.tar_of(name) for number, part in enumerate(self.parts) for name in self.mixture.near(number)]

    def plan(self, state: State, rank: int, world: int) -> Step:
        """The step after a state."""
        if self.packed and self.stage.batch.unit == "sequences":
            chosen, sequences, window, offset = self._from_windows(state)
        else:
            size = self.stage.batch.size
            chosen = self._choose(state.step * size, (state.step + 1) * size)
            sequences, window, offset = self._sequences(chosen, state.step), 0, 0
        return self._step(state, chosen, sequences, (window, offset), rank, world)

    def _step(
        self,
        state: State,
        chosen: _Chosen,
        sequences: list[tuple[int, ...]],
        place: tuple[int, int],
        rank: int,
        world: int,
    ) -> Step:
        used = sorted(number for sequence in sequences for number in sequence)
        ids = tuple(chosen.keys[number] for number in used)
        receipt = xxhash.xxh3_128_hexdigest("\n".join([state.receipt, *ids]).encode())
        left_out = tuple(
            (chosen.keys[at], chosen.rows[at][1].tar, reason)
            for at, reason in enumerate(chosen.reasons)
            if reason and reason != HELD_OUT
        )
        after = State(state.step + 1, *place, receipt)
        batches = tuple(
            MicroBatch(state.step, tuple(tuple(chosen.ref(n) for n in sequence) for sequence in group))
            for group in self._shared_out(chosen, sequences, rank, world)
        )
        return Step(state.step, batches, len(ids), ids, left_out, after)

    def _shared_out(
        self, chosen: _Chosen, sequences: list[tuple[int, ...]], rank: int, world: int
    ) -> list[Sequence[tuple[int, ...]]]:
        """The micro-batches of a rank; every rank has the same number of them, the last ones may be empty.

        Sequences of like length go together: they are padded to the longest of their micro-batch, and ranks wait for the
        slowest.
        """
        size = np.array([chosen.size[list(sequence)].sum() for sequence in sequences])
        order = np.argsort(-size, kind="stable").tolist()
        micro = self.stage.batch.micro
        groups = [[sequences[at] for at in order[first : first + micro]] for first in range(0, len(order), micro)]
        turns = -(-len(groups) // world)
        return [groups[at] if (at := turn * world + rank) < len(groups) else [] for turn in range(turns)]

    def _from_windows(self, state: State) -> tuple[_Chosen, list[tuple[int, ...]], int, int]:
        """The next ``batch.size`` packed sequences; a step may reach over the end of a window."""
        window, offset, need = state.window, state.offset, self.stage.batch.size
        taken: list[tuple[_Chosen, list[tuple[int, ...]]]] = []
        while need:
            chosen, sequences = self._packed_window(window)
            piece = sequences[offset : offset + need]
            need -= len(piece)
            if offset:  # samples that are left out are told once, with the first sequences of their window
                chosen = dataclasses.replace(chosen, reasons=[None] * len(chosen.keys))
            taken.append((chosen, piece))
            offset += len(piece)
            if offset == len(sequences):
                window, offset = window + 1, 0
        return (*_joined(taken), window, offset)

    def _packed_window(self, window: int) -> tuple[_Chosen, list[tuple[int, ...]]]:
        """All sequences of a window in their seeded order; the last two windows are kept."""
        if window not in self._windows:
            size = self.stage.pack_window
            chosen = self._choose(window * size, (window + 1) * size)
            sequences = self._sequences(chosen, window)
            if not sequences:
                raise _nothing_usable(self.parts)
            while len(self._windows) > 1:
                del self._windows[min(self._windows)]
            self._windows[window] = chosen, sequences
        return self._windows[window]

    def _sequences(self, chosen: _Chosen, number: int) -> list[tuple[int, ...]]:
        if not self.packed:
            return [(at,) for at, reason in enumerate(chosen.reasons) if reason is None]
        packs = pack(chosen.tokens, chosen.images, chosen.task, self.stage.length, self.stage.images_per_sequence)
        order = np.random.Generator(np.random.Philox(key=[self.seed, number])).permutation(len(packs))
        return [packs[at] for at in order.tolist()]

    def _choose(self, first: int, last: int) -> _Chosen:
        """The samples at positions [first, last), looked up shard by shard."""
        draws = self.mixture.draws(first, last)
        count = len(draws)
        task, tokens, images, size = np.zeros((4, count), dtype=np.int64)
        rows: list[Any] = [None] * count
        chosen = _Chosen([""] * count, task, tokens, images, size, [None] * count, rows)
        pairs = draws.component * (1 << 32) + draws.shard
        for pair in np.unique(pairs).tolist():
            number, at = divmod(pair, 1 << 32)
            here = np.flatnonzero(pairs == pair)
            self._look_up(number, self.parts[number].dataset.shards[at], draws.rank[here], here, chosen, rows)
        return chosen

    def _look_up(
        self, number: int, shard: ShardFile, ranks: Ints, here: Ints, chosen: _Chosen, rows: list[Any]
    ) -> None:
        selection = self.parts[number].selection
        table = self._indexes.table(shard, selection)
        chosen.size[here] = table.column("text_length").to_numpy()[ranks]
        keys, tasks = (table.column(name).take(pa.array(ranks)).to_pylist() for name in ("key", "task"))
        chosen.task[here] = [self._tasks.setdefault(task, len(self._tasks)) for task in tasks]
        for at, rank, key in zip(here.tolist(), ranks.tolist(), keys, strict=True):
            chosen.keys[at], rows[at] = key, (number, shard, table, rank)
        if self.lengths is not None:
            self._measure(number, shard, ranks, here, chosen)

    def _measure(self, number: int, shard: ShardFile, ranks: Ints, here: Ints, chosen: _Chosen) -> None:
        lengths, selected = self._lengths(shard), self._all_rows(number, shard)[ranks]
        chosen.tokens[here], chosen.images[here] = lengths.tokens[selected], lengths.images[selected]
        chosen.size[here] = chosen.tokens[here]
        for at, row in zip(here.tolist(), selected.tolist(), strict=True):
            chosen.reasons[at] = lengths.reasons[row]

    def _lengths(self, shard: ShardFile) -> Lengths:
        assert self.lengths is not None, "lengths are measured before packing"
        if shard.hash not in self._measured:
            if len(self._measured) >= LENGTHS_KEPT * len(self.parts):
                self._measured.pop(next(iter(self._measured)))
            self._measured[shard.hash] = read_lengths(lengths_path(*self.lengths, shard))
        return self._measured[shard.hash]

    def _all_rows(self, number: int, shard: ShardFile) -> Ints:
        """Row numbers in the whole index of the rows that are selected."""
        key = (number, shard.name)
        if key not in self._selected:
            selection = self.parts[number].selection
            index = Indexes(("task", "language", "source"), keep=1).table(shard)
            self._selected[key] = selection.ranks(index)
        return self._selected[key]


def _joined(taken: list[tuple[_Chosen, list[tuple[int, ...]]]]) -> tuple[_Chosen, list[tuple[int, ...]]]:
    """Several windows' samples as one, the sequences renumbered."""
    if len(taken) == 1:
        return taken[0]
    starts = [0, *itertools.accumulate(len(chosen.keys) for chosen, _ in taken)]
    fields = [field.name for field in dataclasses.fields(_Chosen)]
    columns: dict[str, Any] = {}
    for name in fields:
        values = [getattr(chosen, name) for chosen, _ in taken]
        columns[name] = np.concatenate(values) if isinstance(values[0], np.ndarray) else list(itertools.chain(*values))
    sequences = [
        tuple(number + start for number in sequence)
        for start, (_, part) in zip(starts, taken, strict=False)
        for sequence in part
    ]
    return _Chosen(**columns), sequences


def _nothing_usable(parts: list[MixPart]) -> DataError:
    """A window without one usable sample would make the stream run for ever."""
    return DataError(
        f"no sample of {', '.join(part.label for part in parts)} can be trained on; see lengths/ for the reasons"
    )
