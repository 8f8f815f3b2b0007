"""Interleaving of query, key and value rows."""

import pytest
import torch

from qvl.model.weights.layouts import deinterleave_qkv, interleave_qkv


@pytest.mark.parametrize("shape", [(30, 5), (30,)])
def test_interleave_qkv_inverts_deinterleave_qkv(shape: tuple[int, ...]) -> None:
    packed = torch.randn(shape)
    assert torch.equal(deinterleave_qkv(interleave_qkv(packed, 5), 5), packed)
    assert torch.equal(interleave_qkv(deinterleave_qkv(packed, 5), 5), packed)
    rows = torch.arange(12)  # 2 heads of width 2: q q k k v v | q q k k v v
    assert deinterleave_qkv(rows, 2).tolist() == [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]


def test_interleave_qkv_equals_the_formula_of_the_reference() -> None:
    weight = torch.randn(3 * 16 * 4, 10)
    assert torch.equal(interleave_qkv(weight, 16), weight.view(3, 16, 4, 10).transpose(0, 1).reshape(-1, 10))
