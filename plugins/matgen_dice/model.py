"""The autoencoder of Supplementary Table 2, built from its description.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from matgen_networks.layers import Downsampler, Size, Upsampler
from matgen_networks.tables import Network

FLOOR = 0.01
"""Least slope of the sigmoid for a cell on the wrong side."""


class Reviving(torch.autograd.Function):
    """A sigmoid whose backward slope is at least `FLOOR` for cells on the wrong side of 0.5.

    The Dice loss has no logarithm that would outweigh a saturated sigmoid: a cell that is far off
    and wrong would get no gradient, and with it elements and counts were lost for good.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """The sigmoid of any tensor."""
        y = torch.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The gradient times the slope."""
        (y,) = ctx.saved_tensors
        slope = y * (1 - y)
        wrong = (gradient < 0) == (y < 0.5)  # where the loss asks for more, and the cell is off
        return gradient * torch.where(wrong, slope.clamp(min=FLOOR), slope)


def reviving(x: Tensor) -> Tensor:
    """See `Reviving`."""
    return Reviving.apply(x)


class Coder(nn.Module):
    """Encoder and decoder; the decoder has the layers of the WGAN's generator.

    The table names layers only. Here BatchNorm stands before the encoder's nonlinearities too,
    where no gradient penalty forbids it, and normalises each number of the code: without it a
    third of them carried everything.

    Args:
        network: the layers' table.
        grid: rows and columns of what is encoded.
    """

    def __init__(self, network: Network, grid: tuple[int, int]) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            Downsampler.of(network, Size(*grid), out=network.latent, norm=True),
            nn.BatchNorm1d(network.latent, affine=False),
        )
        self.decoder = Upsampler.of(network, Size(*grid), sigmoid=reviving)

    def forward(self, grids: Tensor) -> Tensor:
        """Grids [B, *grid] to cells in (0, 1), [B, *grid]."""
        return self.decoder(self.encoder(grids))


def dice_loss(grids: Tensor, cells: Tensor) -> Tensor:
    """-2 A·B / (ΣA + ΣB) of each sample, averaged over the batch: -1 where all are equal.

    Args:
        grids: zeros and ones, [B, rows, columns]; each sample with a one.
        cells: their reconstruction in [0, 1], the same shape.
    """
    overlap = (grids * cells).sum((1, 2))
    return (-2 * overlap / (grids.sum((1, 2)) + cells.sum((1, 2)))).mean()
