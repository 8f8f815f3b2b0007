"""Positions in the adapter: interpolated for keys and queries, absent from values."""

from pathlib import Path

import torch

import tests.model.plain_qwen_vl as reference
from qvl.model.weights.auto import load_model


def test_adapter_positions_are_interpolated_not_recomputed(imported: Path) -> None:
    from qvl.model.network.positions import interpolate_positions, sincos_2d

    table = sincos_2d(16, 256)
    torch.testing.assert_close(table, reference.sincos_table(16, 256).float(), atol=1e-6, rtol=0)
    assert interpolate_positions(table, (16, 16)) is table
    doubled = interpolate_positions(table, (32, 32))
    torch.testing.assert_close(doubled, reference.resize_table(table.double(), 32).float(), atol=1e-5, rtol=0)
    assert (doubled - reference.sincos_table(32, 256).float()).abs().max() > 0.1
    half = table.bfloat16()
    assert torch.equal(interpolate_positions(half, (32, 32)), interpolate_positions(half.float(), (32, 32)).bfloat16())


def test_adapter_values_carry_no_positions(imported: Path) -> None:
    """If all patches have the same query-key score, the output is the mean value, which must not contain positions."""
    adapter = load_model(imported, dtype=torch.float64).model.adapter
    with torch.no_grad():
        adapter.attn.k_proj.weight.zero_()
        adapter.attn.k_proj.bias.zero_()
    patches = torch.randn(1, 256, 24, dtype=torch.float64)
    before = adapter(patches, (16, 16))
    with torch.no_grad():
        adapter.pos_embed.zero_()
    torch.testing.assert_close(adapter(patches, (16, 16)), before)
