"""Generators and critics: those of Supplementary Table 1, and those of dense layers.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from matgen_core import Options
from matgen_networks.layers import Downsampler, Size, Upsampler
from matgen_networks.tables import Network, Side
from matgen_wgan import Dense

SLOPE = 0.2
"""Of the dense critic's LeakyReLU for negative values."""
ABSENT = 5.5
"""What an element's absence is ahead by at first: of 85, some three are present."""


class Stack(Options):
    """What a card says of the network that its tensors belong to."""

    network: Network | Dense
    grid: tuple[Side, Side]


def generator(network: Network | Dense, grid: tuple[int, int]) -> Upsampler | DenseGenerator:
    """Latent vectors [B, latent] to cells in (0, 1), [B, *grid]."""
    if isinstance(network, Dense):
        return DenseGenerator((network.latent, *network.generator), Size(*grid))
    return Upsampler.of(network, Size(*grid))


def critic(network: Network | Dense, grid: tuple[int, int]) -> Downsampler | DenseCritic:
    """Grids [B, *grid] to one score each, [B, 1].

    No batch normalisation: it would make a sample's gradient depend on its neighbours, which a
    gradient penalty forbids.
    """
    if isinstance(network, Dense):
        return DenseCritic((grid[0] * grid[1], *network.critic))
    return Downsampler.of(network, Size(*grid), out=1)


class DenseGenerator(nn.Module):
    """Latent vectors to grids by dense layers, BatchNorm and ReLU after each but the last.

    Of a latent vector only the signs are seen. Compositions differ by whole elements; a network
    that is continuous in a continuous vector has to pass through what lies between any two, and
    what lies between is seldom valid. From one corner of a cube to the next it may jump.

    An element is absent or has one of the counts: a softmax over these makes a row's cells
    exclude each other, as they do in an encoded composition.

    Args:
        widths: of the latent vector and the hidden layers.
        grid: size of the output.
    """

    def __init__(self, widths: tuple[int, ...], grid: Size) -> None:
        super().__init__()
        self.grid = grid
        self.hidden = nn.Sequential()
        for width, out in pairwise(widths):
            self.hidden.extend([nn.Linear(width, out), nn.BatchNorm1d(out), nn.ReLU()])
        self.cells = nn.Linear(widths[-1], grid.rows * (1 + grid.columns))
        with torch.no_grad():
            self.cells.bias.unflatten(0, (grid.rows, -1))[:, 0] = ABSENT

    def forward(self, z: Tensor) -> Tensor:
        """Z [B, latent] to cells in (0, 1), [B, rows, columns]."""
        signs = torch.where(z > 0, 1.0, -1.0)
        logits: Tensor = self.cells(self.hidden(signs))
        return logits.unflatten(1, (self.grid.rows, -1)).softmax(dim=2)[:, :, 1:]


class DenseCritic(nn.Module):
    """Grids to scores by dense layers, a LeakyReLU after each but the last.

    Args:
        widths: of a flattened grid and the hidden layers.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(width, out) for width, out in pairwise(widths))
        self.score = nn.Linear(widths[-1], 1)

    def forward(self, grids: Tensor) -> Tensor:
        """Grids [B, rows, columns] to [B, 1]."""
        x = grids.flatten(1)
        for layer in self.hidden:
            x = functional.leaky_relu(layer(x), SLOPE)
        score: Tensor = self.score(x)
        return score

    def input_gradient(self, grids: Tensor) -> Tensor:
        """Gradient of the score with respect to the grid, [B, rows, columns].

        Written as a forward computation for the reasons of `Downsampler.input_gradient`.
        """
        x, slopes = grids.flatten(1), []
        for layer in self.hidden:
            x = layer(x)
            slopes.append(torch.where(x > 0, 1.0, SLOPE).to(x.dtype))
            x = x * slopes[-1]
        gradient = self.score.weight
        for layer, slope in zip(reversed(self.hidden), reversed(slopes), strict=True):
            gradient = (gradient * slope) @ layer.weight
        return gradient.unflatten(1, grids.shape[1:])
