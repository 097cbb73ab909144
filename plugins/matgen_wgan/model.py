"""Generator and critic of Supplementary Table 1, built from their description.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0. And another critic, of dense layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from matgen_networks.layers import Downsampler, Size, Upsampler
from matgen_networks.tables import Network

FIRST_ELEMENTS = 4
"""Cells that the bias of the untrained generator sets."""
ELEMENT, NUMBER = 0.3, 0.15
"""What an element, and the number of elements, weigh beside a cell in the distance of grids."""


def generator(network: Network, grid: tuple[int, int]) -> Upsampler:
    """Latent vectors [B, latent] to cells in (0, 1), [B, *grid].

    Its first samples are nearly as empty as compositions are. With half of the cells set, as the
    sigmoid of an unbiased layer has it, the first thing to learn would be to clear them all.
    """
    upsampler = Upsampler.of(network, Size(*grid))
    share = FIRST_ELEMENTS / math.prod(grid)
    nn.init.constant_(upsampler.deconvolutions[-1].bias, math.log(share / (1 - share)))
    return upsampler


def critic(network: Network, grid: tuple[int, int], dense: Sequence[int] = ()) -> Critic:
    """Grids [B, *grid] to one score each, [B, 1].

    No batch normalisation: it would make a sample's gradient depend on its neighbours, which a
    gradient penalty forbids.

    Args:
        network: the table's convolutions.
        grid: rows and columns.
        dense: widths of dense layers to take instead of them.
    """
    if dense:
        return Dense(Size(*grid), dense)
    return Downsampler.of(network, Size(*grid), out=1)


class Dense(nn.Module):
    """Grids to one score: dense layers with LeakyReLU, all cells seen by the first.

    Beside the cells it sees each row's sum, that is whether an element is there, whatever its
    count, and the sum of all, the number of elements. In the Euclidean distance of cells alone,
    which bounds how much the scores of two grids may differ, an element too many in every sample
    hardly shows: all cells share one more, so each has next to nothing too much.

    Args:
        grid: size of the input.
        widths: of the layers; a layer to one score follows.
        slope: of the LeakyReLU for negative values.
    """

    def __init__(self, grid: Size, widths: Sequence[int], *, slope: float = 0.2) -> None:
        super().__init__()
        self.slope = slope
        seen = math.prod(grid) + grid.rows + 1
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise([seen, *widths]))
        self.linear = nn.Linear(widths[-1], 1)

    def features(self, grids: Tensor) -> Tensor:
        """What is seen of grids [B, rows, columns]: [B, rows * columns + rows + 1]."""
        elements = grids.sum(dim=2)
        number = elements.sum(dim=1, keepdim=True)
        return torch.cat([grids.flatten(1), ELEMENT * elements, NUMBER * number], dim=1)

    def forward(self, grids: Tensor) -> Tensor:
        """Grids [B, rows, columns] to scores [B, 1]."""
        x = self.features(grids)
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), self.slope)
        return self.linear(x)

    def input_gradient(self, grids: Tensor) -> Tensor:
        """Gradient of the score with respect to `features`, [B, rows * columns + rows + 1].

        Written as a forward computation, like `Downsampler.input_gradient`.
        """
        x, slopes = self.features(grids), []
        for layer in self.layers:
            x = layer(x)
            slopes.append(torch.where(x > 0, 1.0, self.slope).to(x.dtype))
            x = x * slopes[-1]
        gradient = self.linear.weight.to(x.dtype)
        for layer, slope in zip(reversed(self.layers), reversed(slopes), strict=True):
            gradient = (gradient * slope) @ layer.weight
        return gradient


Critic = Downsampler | Dense
