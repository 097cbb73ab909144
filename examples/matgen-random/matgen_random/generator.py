"""The generator `random`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen_core import Generator
from matgen_onehot.encoder import OneHot


class UniformRandom(Generator):
    """Draws 2 to `max_elements` different elements and a count of 1 to 8 for each."""

    encoder = "onehot"

    def sample(self, n: int, seed: int) -> NDArray[Any]:
        """uint8 [n, 85, 8] of zeros and ones."""
        random = np.random.default_rng(seed)
        elements, counts = OneHot.shape
        n_elements = random.integers(2, self.options.max_elements, size=(n, 1), endpoint=True)
        place = random.permuted(np.tile(np.arange(elements), (n, 1)), axis=1)
        rows, chosen = np.nonzero(place < n_elements)
        grid = np.zeros((n, elements, counts), np.uint8)
        grid[rows, chosen, random.integers(counts, size=len(rows))] = 1
        return grid
