"""Samples to sequences, and sequences to micro-batches: pure functions, so that equal inputs give equal batches.

Packing is first-fit, longest sample first, with a budget of tokens and one of images. Only samples of one task share a
sequence (paper section 3.2, "interleaved" data of stage 2).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qvl.training.recipe import StageSpec

Ints = npt.NDArray[np.int64]


def planned_together(stage: StageSpec) -> int:
    """How many consecutive samples are turned into sequences together: a packing window, or the samples of one step."""
    return stage.pack_window if stage.steps_count_packs else stage.batch.size


def plan_sequences(
    stage: StageSpec, usable: npt.NDArray[np.bool_], tokens: Ints, images: Ints, tasks: Ints
) -> list[tuple[int, ...]]:
    """The sequences of samples that are planned together, each a tuple of positions in the given columns.

    Without packing every usable sample is a sequence of its own. With packing ``tokens`` is 0 for unusable samples.
    """
    if stage.packing == "none":
        return [(position,) for position in np.flatnonzero(usable).tolist()]
    return pack(tokens, images, tasks, stage.length, stage.images_per_sequence)


def micro_batches(sequences: Sequence[tuple[int, ...]], sizes: Ints, micro: int) -> list[list[tuple[int, ...]]]:
    """The sequences of one step in groups of ``micro``, the longest first; ``sizes`` are those of the samples.

    Sequences of similar length share a micro-batch, because each is padded to the longest in it and ranks wait for the
    slowest. For example, three sequences of 5, 9 and 7 tokens make the groups [9, 7] and [5] for ``micro`` 2.
    """
    lengths = np.array([sizes[list(sequence)].sum() for sequence in sequences])
    order = np.argsort(-lengths, kind="stable").tolist()
    return [[sequences[at] for at in order[first : first + micro]] for first in range(0, len(order), micro)]


def pack(tokens: Ints, images: Ints, tasks: Ints, length: int, most_images: int) -> list[tuple[int, ...]]:
    """Sequences of sample numbers, with every sample in exactly one; samples of 0 tokens (unusable ones) are in none.

    A sample that exceeds a budget gets a sequence of its own. Samples keep their order within a sequence, and sequences are
    ordered by their first sample.
    """
    packs: list[tuple[int, ...]] = []
    for task in np.unique(tasks).tolist():
        of_task = np.flatnonzero((tasks == task) & (tokens > 0))
        packs += _first_fit(of_task, tokens[of_task], images[of_task], length, most_images)
    return sorted(packs)


def _first_fit(numbers: Ints, tokens: Ints, images: Ints, length: int, most_images: int) -> list[tuple[int, ...]]:
    order = np.argsort(-tokens, kind="stable")
    free_tokens, free_images = np.empty(len(numbers), dtype=np.int64), np.empty(len(numbers), dtype=np.int64)
    members: list[list[int]] = []
    first_open = 0  # all packs before it are too full even for the shortest sample
    shortest = int(tokens.min()) if len(tokens) else 0
    for at in order.tolist():
        needed_tokens, needed_images, used = int(tokens[at]), int(images[at]), len(members)
        fits = (free_tokens[first_open:used] >= needed_tokens) & (free_images[first_open:used] >= needed_images)
        found = int(fits.argmax()) + first_open if fits.any() else used
        if found == used:
            free_tokens[used], free_images[used] = length, most_images
            members.append([])
        free_tokens[found] -= needed_tokens
        free_images[found] -= needed_images
        members[found].append(int(numbers[at]))
        while first_open < len(members) and free_tokens[first_open] < shortest:
            first_open += 1
    return [tuple(sorted(pack)) for pack in members]
