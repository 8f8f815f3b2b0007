"""Pieces of an evaluation."""

from qvl.training.evaluation.answering.pieces import LONG_PIECE, PIECE, plan
from qvl.training.evaluation.samples.sample import Decoding, EvalSample


def test_plan_pieces_cover_all_samples_once() -> None:
    samples = [
        EvalSample(f"{n}", "s", "g", "exact", "p" * (n % 7), (), ("x",), Decoding(500 if n % 3 == 0 else 10))
        for n in range(300)
    ]
    found = plan(samples)
    assert sorted(place for piece in found for place in piece) == list(range(300))
    assert all(len(piece) <= (LONG_PIECE if samples[piece[0]].decoding.max_new > 100 else PIECE) for piece in found)
