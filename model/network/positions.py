"""Positions of patches: fixed 2-D sines and cosines, and the interpolation of a position table to another grid."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def sincos_2d(side: int, width: int) -> Tensor:
    """Fixed position embeddings of a `side` x `side` grid, as in MAE.

    The first half of the channels encodes the column (x), the second the row (y); each half is
    [sines | cosines] with frequencies 10000^(-i / (width / 4)). Returns float32 [side * side, width], row by row.
    """
    steps = torch.arange(side, dtype=torch.float64)
    rows_N, columns_N = (grid.flatten() for grid in torch.meshgrid(steps, steps, indexing="ij"))
    quarter = width // 4
    frequency_F = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = [torch.outer(coordinates_N, frequency_F) for coordinates_N in (columns_N, rows_N)]
    return torch.cat([part for angle_NF in angles for part in (angle_NF.sin(), angle_NF.cos())], dim=1).float()


def interpolate_positions(table_ND: Tensor, grid: tuple[int, int]) -> Tensor:
    """Bicubic interpolation of a square position table to `grid` = (rows, columns), in float32.

    Returns [rows * columns, D] in the table's dtype; the table itself if `grid` is already its grid.
    """
    side = round(len(table_ND) ** 0.5)
    if (side, side) == grid:
        return table_ND
    table_1DHW = table_ND.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    wanted_1DHW = interpolate(table_1DHW, size=grid, mode="bicubic", align_corners=False)
    return wanted_1DHW.permute(0, 2, 3, 1).flatten(0, 2).to(table_ND.dtype)
