"""Samples to sequences: first-fit, longest first, with a budget of tokens and one of images.

Only samples of one task share a sequence (paper section 3.2, "interleaved" data of stage 2). Pure: equal inputs give equal
packs.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def pack(tokens: Ints, images: Ints, tasks: Ints, length: int, most_images: int) -> list[tuple[int, ...]]:
    """Sequences of sample numbers, every sample in exactly one; samples without tokens (damaged ones) are left out.

    A sample longer than the budgets gets a sequence of its own. Inside a sequence samples stand in the order in which they
    came; sequences are ordered by their first sample.
    """
    packs: list[tuple[int, ...]] = []
    for task in np.unique(tasks).tolist():
        here = np.flatnonzero((tasks == task) & (tokens > 0))
        packs += _first_fit(here, tokens[here], images[here], length, most_images)
    return sorted(packs)


def _first_fit(numbers: Ints, tokens: Ints, images: Ints, length: int, most_images: int) -> list[tuple[int, ...]]:
    order = np.argsort(-tokens, kind="stable")
    room, places = np.empty(len(numbers), dtype=np.int64), np.empty(len(numbers), dtype=np.int64)
    members: list[list[int]] = []
    first_open = 0  # packs before it cannot take the shortest sample any more
    shortest = int(tokens.min()) if len(tokens) else 0
    for at in order.tolist():
        need, pictures, used = int(tokens[at]), int(images[at]), len(members)
        fits = (room[first_open:used] >= need) & (places[first_open:used] >= pictures)
        found = int(fits.argmax()) + first_open if fits.any() else used
        if found == used:
            room[used], places[used] = length, most_images
            members.append([])
        room[found] -= need
        places[found] -= pictures
        members[found].append(int(numbers[at]))
        while first_open < len(members) and room[first_open] < shortest:
            first_open += 1
    return [tuple(sorted(pack)) for pack in members]


def useful_share(sequences: Sequence[tuple[int, ...]], tokens: Ints, length: int) -> float:
    """Tokens that are samples, of all positions that the sequences take when padded to ``length``."""
    return sum(int(tokens[list(sequence)].sum()) for sequence in sequences) / max(1, len(sequences) * length)
