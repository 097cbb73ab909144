"""The loop over the cells of samples, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_kernels import compiled, in_threads
from matgen_onehot.encoder import ATOMIC_NUMBERS, MAX_COUNT, MAX_ELEMENTS, MIN_ELEMENTS


def decode(cells: NDArray[np.float32 | np.uint8], threshold: np.float32) -> Compositions:
    """Elements and counts of samples [N, 85, 8], before they are reduced."""
    decoded = Compositions.empty(len(cells), MAX_ELEMENTS)

    def work(rows: slice) -> None:
        _decode(cells[rows], threshold, decoded.numbers[rows], decoded.counts[rows])

    in_threads(work, len(cells))
    return decoded


@compiled
def _decode(
    cells: NDArray[np.float32 | np.uint8],
    threshold: np.float32,
    numbers: NDArray[np.uint8],
    counts: NDArray[np.uint16],
) -> None:
    """Write what is decoded into rows of zeros, [N, 8] each."""
    for sample in range(len(cells)):
        n = 0
        for row in range(len(ATOMIC_NUMBERS)):
            strongest, count = cells[sample, row, 0], 1
            for column in range(1, MAX_COUNT):
                if cells[sample, row, column] > strongest:
                    strongest, count = cells[sample, row, column], column + 1
            if strongest >= threshold:  # NaN reaches no threshold
                if n < MAX_ELEMENTS:
                    numbers[sample, n] = ATOMIC_NUMBERS[row]
                    counts[sample, n] = count
                n += 1
        if n < MIN_ELEMENTS or n > MAX_ELEMENTS:
            numbers[sample] = 0
            counts[sample] = 0
