"""ElemNet's layers and its input.

Jha et al., Sci. Rep. 8:17593 (2018), doi:10.1038/s41598-018-35934-y.
"""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from matgen_core.compositions import Compositions
from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_onehot.encoder import ALPHABET

ELEMENTS: tuple[str, ...] = tuple(sorted((*ALPHABET, "Kr"), key=ATOMIC_NUMBER.__getitem__))
"""The 86 elements of OQMD's compounds, by atomic number."""
BLOCKS: tuple[tuple[int, ...], ...] = (
    (1024,) * 4,
    (512,) * 3,
    (256,) * 3,
    (128,) * 3,
    (64, 64, 32, 1),
)
"""Widths of the layers; dropout stands between the blocks."""

_OUTSIDE = -1
_COLUMN = np.full(len(SYMBOLS), _OUTSIDE)
_COLUMN[[ATOMIC_NUMBER[symbol] for symbol in ELEMENTS]] = np.arange(len(ELEMENTS))


def inside(compositions: Compositions) -> NDArray[np.bool_]:
    """Which rows have elements of ELEMENTS only, bool [N]; False for an empty row."""
    fits = (_COLUMN[compositions.numbers] != _OUTSIDE) | (compositions.numbers == 0)
    inside: NDArray[np.bool_] = fits.all(axis=1) & (compositions.n_elements > 0)
    return inside


def fractions(compositions: Compositions) -> Tensor:
    """Atomic fractions, float32 [N, 86], of rows that are all `inside`."""
    rows, columns = np.nonzero(compositions.numbers)
    counts = compositions.counts[rows, columns]
    atoms = np.bincount(rows, counts, len(compositions))
    result = np.zeros((len(compositions), len(ELEMENTS)), np.float32)
    result[rows, _COLUMN[compositions.numbers[rows, columns]]] = counts / atoms[rows]
    return torch.from_numpy(result)


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
