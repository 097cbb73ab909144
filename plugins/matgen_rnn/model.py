"""A recurrent network over compositions: the next element, its count, and when to stop.

A composition is written as its elements in a fixed order, each followed by its count, and a stop.
Gated recurrent units: Cho et al., arXiv:1406.1078.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from matgen_core import Options

NOTHING = -100
"""Stands after the end of a sequence; `functional.cross_entropy` ignores it."""


class Shape(Options):
    """What a card says of the network that its tensors belong to."""

    width: Annotated[int, Field(ge=2, le=8192, multiple_of=2)]
    layers: Annotated[int, Field(ge=1, le=16)]
    grid: tuple[Annotated[int, Field(ge=1, le=1024)], Annotated[int, Field(ge=1, le=1024)]]
    longest: Annotated[int, Field(ge=1, le=1024)]
    """Most elements that a composition is given."""


class Writer(nn.Module):
    """The network. Of R rows of the grid, token k is the k-th to be written, and R is the stop.

    Args:
        shape: its sizes.
        order: rows of the grid in the order of writing, int64 [R].
        dropout: between layers, while training.
    """

    order: Tensor

    def __init__(self, shape: Shape, order: Tensor, dropout: float = 0.0) -> None:
        super().__init__()
        self.rows, self.columns = shape.grid
        self.register_buffer("order", order)
        half = shape.width // 2
        self.start = nn.Parameter(torch.zeros(half))
        self.element = nn.Embedding(self.rows + 1, half)
        self.count = nn.Embedding(self.columns, half)
        self.recurrent = nn.GRU(
            half,
            shape.width,
            shape.layers,
            batch_first=True,
            dropout=dropout if shape.layers > 1 else 0.0,
        )
        self.to_element = nn.Linear(shape.width, self.rows + 1)
        self.to_count = nn.Sequential(
            nn.Linear(shape.width + half, half), nn.ReLU(), nn.Linear(half, self.columns)
        )

    def written(self, elements: Tensor, counts: Tensor) -> Tensor:
        """What the network reads of an element with its count, [..., width / 2].

        Args:
            elements: tokens, int64 [...].
            counts: count - 1, int64 [...].
        """
        both: Tensor = self.element(elements) + self.count(counts)
        return both

    def counts_of(self, states: Tensor, elements: Tensor) -> Tensor:
        """Logits of the counts of elements, [..., columns].

        Args:
            states: of the recurrent layers before the element, [..., width].
            elements: tokens, int64 [...].
        """
        logits: Tensor = self.to_count(torch.cat([states, self.element(elements)], dim=-1))
        return logits

    def loss(self, elements: Tensor, counts: Tensor) -> Tensor:
        """Negative log-likelihood of compositions in nats, averaged over them.

        Args:
            elements: as `sequences` gives them, [B, L + 1].
            counts: [B, L].
        """
        longest = int((counts != NOTHING).sum(dim=1).max())
        elements, counts = elements[:, : longest + 1], counts[:, :longest]
        read, read_counts = elements[:, :-1].clamp(min=0), counts.clamp(min=0)
        first = self.start.expand(len(elements), 1, -1)
        states, _ = self.recurrent(torch.cat([first, self.written(read, read_counts)], dim=1))
        of_counts = self.counts_of(states[:, :-1], read)
        return (
            functional.cross_entropy(
                self.to_element(states).flatten(0, 1), elements.flatten(), reduction="sum"
            )
            + functional.cross_entropy(of_counts.flatten(0, 1), counts.flatten(), reduction="sum")
        ) / len(elements)

    @torch.inference_mode()
    def write(self, uniform: Tensor, temperature: float) -> NDArray[np.uint8]:
        """Compositions as grids of zeros and ones, uint8 [B, rows, columns].

        Args:
            uniform: random numbers in [0, 1), float32 [B, longest, 2], on the network's device.
            temperature: what logits are divided by.
        """
        grids = np.zeros((len(uniform), self.rows, self.columns), np.uint8)
        going = torch.arange(len(uniform), device=uniform.device)  # not stopped yet
        inputs = self.start.expand(len(uniform), 1, -1)
        last = torch.full((len(uniform), 1), -1, device=uniform.device)
        token = torch.arange(self.rows + 1, device=uniform.device)
        memory: Tensor | None = None
        for place in range(uniform.shape[1]):
            states, memory = self.recurrent(inputs, memory)
            states = states[:, 0]
            # Elements come in order, so none comes twice.
            logits = (self.to_element(states) / temperature).masked_fill(token <= last, -torch.inf)
            elements = _choose(logits, uniform[going, place, 0])
            on = elements < self.rows
            going, elements, states, memory = going[on], elements[on], states[on], memory[:, on]
            if not len(going):
                break
            logits = self.counts_of(states, elements) / temperature
            counts = _choose(logits, uniform[going, place, 1])
            grids[going.cpu(), self.order[elements].cpu(), counts.cpu()] = 1
            inputs, last = self.written(elements, counts)[:, None], elements[:, None]
        return grids


def _choose(logits: Tensor, uniform: Tensor) -> Tensor:
    """One index a row with the probabilities of the logits [B, K], int64 [B]."""
    reached = functional.softmax(logits.double(), dim=1).cumsum(dim=1)
    # Rounding may leave the last sum below the random number.
    possible = (logits > -torch.inf).long().cumsum(dim=1).argmax(dim=1)
    return torch.minimum((reached <= uniform[:, None]).sum(dim=1), possible)


def sequences(grids: NDArray[np.uint8], order: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Encoded compositions as the network writes them, `NOTHING` after their ends.

    Args:
        grids: zeros and ones, at most one a row and at least one in all, uint8 [N, R, C].
        order: rows in the order of writing, int64 [R].

    Returns:
        Elements, ended by the stop R, int64 [N, L + 1]; counts - 1, int64 [N, L]. L is the most
        elements that one has.
    """
    row, element, count = np.nonzero(grids[:, order])
    n_elements = np.bincount(row, minlength=len(grids))
    place = np.arange(len(row)) - np.repeat(np.cumsum(n_elements) - n_elements, n_elements)
    elements = np.full((len(grids), n_elements.max() + 1), NOTHING)
    counts = np.full((len(grids), n_elements.max()), NOTHING)
    elements[row, place], counts[row, place] = element, count
    elements[np.arange(len(grids)), n_elements] = grids.shape[1]
    return torch.from_numpy(elements), torch.from_numpy(counts)
