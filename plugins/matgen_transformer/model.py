"""Attention among the elements of a composition.

Attention and its blocks: Vaswani et al., arXiv:1706.03762. That a composition can be learned as a
set of elements weighted by their fractions is from Roost (Goodall & Lee, Nat. Commun. 11:6280,
2020, doi:10.1038/s41467-020-19964-7) and CrabNet (Wang et al., npj Comput. Mater. 7:77, 2021,
doi:10.1038/s41524-021-00545-1). This network is neither: how fractions enter it is its own.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from matgen_core.compositions import Compositions
from matgen_networks.regression import ELEMENTS, PLACE
from matgen_transformer import Shape

WAVES = 16
"""Sines, and as many cosines, that a fraction is told by."""
FASTEST = 50
"""Half turns of the fastest of them from no atom to all: a fiftieth more is its opposite."""


def inputs(compositions: Compositions) -> tuple[Tensor, Tensor]:
    """What the network reads of N compositions of at most L elements that are all `inside`.

    Returns:
        Places of their elements in `ELEMENTS`, int64 [N, L]; atomic fractions, float32 [N, L],
        positive for an element and zero where a composition has no more.
    """
    longest = compositions.n_elements.max(initial=1)
    numbers, counts = compositions.numbers[:, :longest], compositions.counts[:, :longest]
    elements = np.where(numbers > 0, PLACE[numbers], 0)
    fractions = counts / counts.sum(axis=1, keepdims=True, dtype=np.float64)
    return torch.from_numpy(elements), torch.from_numpy(fractions.astype(np.float32))


class Block(nn.Module):
    """Every element looks at all elements of its composition, then each is thought over.

    Attributes:
        amount: how much an element's fraction counts when it is looked at, float32 [heads].
            At 1, two elements of half the fraction are worth one; at 0, every element counts
            alike.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.amount = nn.Parameter(torch.ones(heads))
        self.attention_norm = nn.LayerNorm(width)
        self.attention_in = nn.Linear(width, 3 * width)
        # Nothing is added to elements at first, so the first block learns as early as the last.
        self.attention_out = silent(nn.Linear(width, width))
        self.mlp = mlp(width, width)

    def forward(self, x: Tensor, present: Tensor, logs: Tensor) -> Tensor:
        """The elements [B, L, width] once more.

        Args:
            x: the elements.
            present: where there is one, bool [B, L].
            logs: logarithms of fractions, float32 [B, L], finite everywhere.
        """
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.attention_in(self.attention_norm(x)).chunk(3, dim=-1)
        )
        logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        logits = logits + self.amount[:, None, None] * logs[:, None, None, :]
        shares = logits.masked_fill(~present[:, None, None, :], -torch.inf).softmax(dim=-1)
        seen = (shares.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        x = x + self.attention_out(seen)
        thought: Tensor = self.mlp(x)
        return x + thought


class Network(nn.Module):
    """Compositions to energies: the mean of what their elements give, weighted by fraction.

    It does not depend on the order of elements, nor on what stands after the last.

    Args:
        shape: its size.

    Attributes:
        mean: of the energies trained on, in eV/atom, float32 [].
        deviation: of the energies trained on from their mean, in eV/atom, float32 [].
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.element = nn.Embedding(len(ELEMENTS), shape.width)
        nn.init.normal_(self.element.weight, std=0.5)
        self.fraction = nn.Linear(1 + 2 * WAVES, shape.width)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.energy = mlp(shape.width, 1)  # nothing at first: training begins with the mean

    def forward(self, elements: Tensor, fractions: Tensor) -> Tensor:
        """Energies in eV/atom, float32 [B].

        Args:
            elements: places in `ELEMENTS`, int64 [B, L].
            fractions: float32 [B, L], each row's sum 1, zero for no element.
        """
        present = fractions > 0
        logs = torch.where(present, fractions, 1).log()
        x = self.element(elements) + self.fraction(waves(fractions))
        for block in self.blocks:
            x = block(x, present, logs)
        standard: Tensor = (self.energy(x).squeeze(-1).float() * fractions).sum(dim=1)
        return self.mean + self.deviation * standard


def silent(layer: nn.Linear) -> nn.Linear:
    """A layer that gives zeros until it learns."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(width: int, out: int) -> nn.Sequential:
    """A layer norm, and two layers with a GELU between them, of which the last is silent."""
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 2 * width),
        nn.GELU(approximate="tanh"),
        silent(nn.Linear(2 * width, out)),
    )


def waves(fractions: Tensor) -> Tensor:
    """Fractions [...], and sines and cosines of them, [..., 1 + 2 × `WAVES`].

    One number alone would leave it to the first layer to tell 1/3 from 3/8.
    """
    turns = torch.logspace(0, math.log10(FASTEST), WAVES, device=fractions.device)
    turned = math.pi * turns * fractions[..., None]
    return torch.cat([fractions[..., None], turned.sin(), turned.cos()], dim=-1)
