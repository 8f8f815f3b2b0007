"""Fixed positions of a grid, and their interpolation to another one."""

import math

import pytest
import torch

from qvl.model.network.positions import interpolate_positions, sincos_2d


def test_sincos_2d_encodes_the_column_first_and_the_row_second() -> None:
    table = sincos_2d(3, 8)
    assert table.shape == (9, 8) and table.dtype == torch.float32
    for at in range(9):
        row, column = divmod(at, 3)
        expected = [f(c / 10000 ** (i / 2)) for c in (column, row) for f in (math.sin, math.cos) for i in range(2)]
        assert table[at].tolist() == pytest.approx(expected, abs=1e-6)


def test_interpolate_positions_to_its_own_grid_returns_the_table_itself() -> None:
    table = torch.randn(16, 6)
    assert interpolate_positions(table, (4, 4)) is table


@pytest.mark.parametrize("grid", [(8, 8), (2, 6)])
def test_interpolate_positions_keeps_constants_symmetry_and_the_type(grid: tuple[int, int]) -> None:
    assert torch.allclose(
        interpolate_positions(torch.full((16, 3), 2.5), grid), torch.full((grid[0] * grid[1], 3), 2.5)
    )
    table = torch.randn(4, 4, 3)
    found = interpolate_positions(table.flatten(0, 1), grid).reshape(*grid, 3)
    mirrored = interpolate_positions(table.flip(1).flatten(0, 1), grid).reshape(*grid, 3)
    assert torch.allclose(mirrored.flip(1), found, atol=1e-5)
    assert interpolate_positions(table.flatten(0, 1).bfloat16(), grid).dtype == torch.bfloat16
