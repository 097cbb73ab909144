"""Generator and critic of Supplementary Table 1, built from their description.

npj Comput. Mater. 6:84 (2020), doi:10.1038/s41524-020-00352-0. And two others, of dense layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from matgen_networks.layers import Downsampler, Size, Upsampler, leaky_relu
from matgen_networks.tables import Network

FIRST_ELEMENTS = 4
"""Cells that the bias of the untrained generator sets."""
ELEMENT, NUMBER = 0.3, 0.15
"""What an element, and the number of elements, weigh beside a cell in the distance of grids."""
NEVER = 10.0
"""What nothing normally distributed comes to."""
BISECTIONS = 26
"""Halvings of the interval in which a sum is met: what is left of it is less than 1e-6."""


def generator(network: Network, grid: tuple[int, int], dense: Sequence[int] = ()) -> Generator:
    """Latent vectors [B, latent] to cells in (0, 1), [B, *grid].

    The table's first samples are nearly as empty as compositions are. With half of the cells set,
    as the sigmoid of an unbiased layer has it, the first thing to learn would be to clear them all.

    Args:
        network: the table's transposed convolutions, and the width of latent vectors.
        grid: rows and columns.
        dense: widths of dense layers to take instead of the convolutions.
    """
    if dense:
        return DenseGenerator(network.latent, dense, Size(*grid))
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
        return DenseCritic(Size(*grid), dense)
    return Downsampler.of(network, Size(*grid), out=1)


class DenseGenerator(nn.Module):
    """Latent vectors to grids: dense layers, and then as many elements as a composition has.

    On its way from one composition to the next, a smooth map to independent cells passes through
    samples with an element too many or too few. Here the elements of a sample share a sum, its
    number of elements: one that comes takes the place of one that goes (the LML projection; Amos et
    al., arXiv:1906.08707).

    The number is drawn as often as the compounds trained on have it (`draw_numbers_of`; 1 until
    then): it is decided by the first component of the latent vector. Each element has a softmax
    over its counts.

    Args:
        latent: width of the latent vector.
        widths: of the layers; batch normalisation and ReLU follow each.
        grid: size of the output.

    Attributes:
        exact: set so many elements whole and no other, instead of letting them share their number.
    """

    bounds: Tensor
    """Where one element more begins, of a standard normal number: [rows - 1], ascending."""

    def __init__(self, latent: int, widths: Sequence[int], grid: Size) -> None:
        super().__init__()
        self.grid = grid
        self.exact = False
        self.register_buffer("bounds", torch.full((grid.rows - 1,), NEVER))
        wide = [latent + grid.rows - 1, *widths]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(wide))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)
        self.linear = nn.Linear(widths[-1], grid.rows * grid.columns)

    def draw_numbers_of(self, grids: Tensor) -> None:
        """Take over how often compounds [N, rows, columns] have how many elements."""
        numbers = grids.any(dim=2).sum(dim=1)
        with_up_to = torch.bincount(numbers, minlength=self.grid.rows).cumsum(dim=0)
        shares = with_up_to[1 : self.grid.rows].double() / len(grids)
        self.bounds.copy_(torch.special.ndtri(shares).clamp(-NEVER, NEVER))

    def forward(self, z: Tensor) -> Tensor:
        """Z [B, latent] to cells in [0, 1], [B, rows, columns]."""
        more = (z[:, :1] > self.bounds).to(z.dtype)
        x = torch.cat([z, more], dim=1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = functional.relu(norm(layer(x)))
        logits = self.linear(x).float().unflatten(1, self.grid)
        beyond_first, scores = more.sum(dim=1).long(), logits.logsumexp(dim=2)
        if self.exact:
            # Not by comparing scores, which may be equal.
            rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
            whole = functional.one_hot(logits.argmax(dim=2), self.grid.columns)
            return ((rank <= beyond_first.unsqueeze(1)).unsqueeze(2) * whole).float()
        counts = (logits - scores.unsqueeze(2)).exp()  # a softmax
        return summing_to(1 + beyond_first, scores).unsqueeze(2) * counts


def summing_to(total: Tensor, logits: Tensor) -> Tensor:
    """Sigmoids of logits, all of a row moved so that they add up to a number.

    The LML projection (Amos et al., arXiv:1906.08707) and its gradient: how far to move is found by
    bisection, and a step of Newton's method from there carries the derivative.

    Args:
        total: [B], each above 0 and below N.
        logits: [B, N].

    Returns:
        [B, N] in (0, 1).
    """
    with torch.no_grad():
        # With these moves all are below 1e-5, and all are above 1 - 1e-5.
        low, high = -logits.amax(dim=1) - 12, -logits.amin(dim=1) + 12
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            above = torch.sigmoid(logits + middle.unsqueeze(1)).sum(dim=1) > total
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        move = (low + high) / 2
    near = torch.sigmoid(logits + move.unsqueeze(1))
    slope = (near * (1 - near)).sum(dim=1).detach().clamp_min(1e-6)
    move = move - (near.sum(dim=1) - total) / slope
    return torch.sigmoid(logits + move.unsqueeze(1))


class DenseCritic(nn.Module):
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
        return self._forward(grids)

    def input_gradient(self, grids: Tensor) -> Tensor:
        """Gradient of the score with respect to `features`, [B, rows * columns + rows + 1].

        Written as a forward computation, like `Downsampler.input_gradient`.
        """
        slopes: list[Tensor] = []
        self._forward(grids, slopes)
        gradient = self.linear.weight.to(slopes[-1].dtype)
        for layer, slope in zip(reversed(self.layers), reversed(slopes), strict=True):
            gradient = (gradient * slope) @ layer.weight
        return gradient

    def _forward(self, grids: Tensor, slopes: list[Tensor] | None = None) -> Tensor:
        x = self.features(grids)
        for layer in self.layers:
            x = leaky_relu(layer(x), self.slope, slopes)
        return self.linear(x)


Generator = Upsampler | DenseGenerator
Critic = Downsampler | DenseCritic
