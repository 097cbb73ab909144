"""ElemNet's layers and its input.

Jha et al., Sci. Rep. 8:17593 (2018), doi:10.1038/s41598-018-35934-y.
"""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor, nn

from matgen_core.compositions import Compositions
from matgen_networks.regression import ELEMENTS, PLACE

BLOCKS: tuple[tuple[int, ...], ...] = (
    (1024,) * 4,
    (512,) * 3,
    (256,) * 3,
    (128,) * 3,
    (64, 64, 32, 1),
)
"""Widths of the layers; dropout stands between the blocks."""


def inputs(compositions: Compositions) -> tuple[Tensor]:
    """What the network reads of N compositions that are all `matgen_networks.regression.inside`.

    Returns:
        Atomic fractions, float32 [N, 86].
    """
    rows, columns = np.nonzero(compositions.numbers)
    counts = compositions.counts[rows, columns]
    atoms = np.bincount(rows, counts, len(compositions))
    fractions = np.zeros((len(compositions), len(ELEMENTS)), np.float32)
    fractions[rows, PLACE[compositions.numbers[rows, columns]]] = counts / atoms[rows]
    return (torch.from_numpy(fractions),)


class Dropout(nn.Module):
    """Dropout whose share may change between steps without compiling the network anew.

    Attributes:
        share: of the units that are dropped in training, float32 [].
    """

    share: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("share", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The units that are kept, scaled up for those that are not; all of them in use."""
        if not self.training:
            return x
        kept = torch.rand(x.shape, device=x.device) >= self.share
        return x * (kept / (1 - self.share)).to(x.dtype)


class Network(nn.Sequential):
    """Fractions [B, 86] to one value each, [B, 1]: 17 layers, ReLU between them.

    Attributes:
        dropouts: after each block but the last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropouts = [Dropout() for _ in BLOCKS[:-1]]
        width = len(ELEMENTS)
        for block, dropout in zip_longest(BLOCKS, self.dropouts):
            for out in block:
                linear = nn.Linear(width, out)
                # Seventeen layers deep, torch's smaller initial weights let the signal die away.
                nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
                nn.init.zeros_(linear.bias)
                self.append(linear)
                if out > 1:
                    self.append(nn.ReLU())
                width = out
            if dropout is not None:
                self.append(dropout)
