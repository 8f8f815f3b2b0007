"""Packs hold every sample once, keep both budgets and one task each; sequences become micro-batches, longest first."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qvl.training.data.packing import micro_batches, pack, plan_sequences, planned_together
from qvl.training.recipe import StageSpec
from tests.training.made import stage

SAMPLES = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 3), st.integers(0, 2)), max_size=60)


@given(SAMPLES, st.integers(1, 4))
def test_every_sample_is_in_exactly_one_pack_within_its_budgets(samples: list[tuple[int, int, int]], most: int) -> None:
    tokens, images, tasks = (np.array([s[at] for s in samples], dtype=np.int64) for at in range(3))
    packs = pack(tokens, images, tasks, 100, most)
    packed = [number for members in packs for number in members]
    assert sorted(packed) == [number for number, s in enumerate(samples) if s[0] > 0]
    for members in packs:
        here = list(members)
        assert len({samples[number][2] for number in here}) == 1
        assert here == sorted(here)
        if len(here) > 1:
            assert tokens[here].sum() <= 100
            assert images[here].sum() <= most


def test_packs_are_full_where_samples_are_short() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(270, 700, 4096)
    tasks = rng.choice(7, 4096, p=[0.26, 0.05, 0.05, 0.11, 0.11, 0.32, 0.1])
    images = np.ones_like(tokens)
    packs = pack(tokens, images, tasks, 2048, 7)
    assert tokens.sum() / (len(packs) * 2048) >= 0.95


def test_longest_sequences_come_first_and_equal_ones_keep_their_order() -> None:
    sizes = np.array([5, 2, 3, 7, 5])
    assert micro_batches([(0,), (1, 2), (3,), (4,)], sizes, 3) == [[(3,), (0,), (1, 2)], [(4,)]]
    assert micro_batches([], sizes, 3) == []


def test_sequences_of_a_stage_without_packing_are_its_usable_samples() -> None:
    tokens, zeros = np.array([4, 0, 6, 3]), np.zeros(4, dtype=np.int64)
    single = StageSpec.model_validate(stage())
    assert plan_sequences(single, tokens > 0, tokens, zeros, zeros) == [(0,), (2,), (3,)]
    packed = StageSpec.model_validate(stage(packing="causal"))
    assert plan_sequences(packed, tokens > 0, tokens, zeros, zeros) == [(0, 2, 3)]
    windows = StageSpec.model_validate(
        stage(packing="causal", pack_window=40, batch={"size": 5, "unit": "sequences", "micro": 1})
    )
    assert [planned_together(each) for each in (single, packed, windows)] == [8, 8, 40]


def test_packs_are_limited_by_the_image_budget_where_samples_are_short() -> None:
    many = np.full(20, 10)
    packs = pack(many, np.full(20, 3), np.zeros(20, dtype=np.int64), 2048, 7)
    assert {len(members) for members in packs} == {2}
