"""The paper's one-hot encoding: 85 elements by counts 1 to 8.

npj Comput. Mater. 6:84 (2020), Supplementary Fig. 5 (doi:10.1038/s41524-020-00352-0). The
figure is drawn 8×85; the network tables, and this encoder, hold elements in rows.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from matgen_core.compositions import Compositions
from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_core.interfaces import Encoder
from matgen_onehot import OneHotOptions

ALPHABET: tuple[str, ...] = tuple(
    "H Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr "
    "Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm "
    "Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Ac Th Pa U Np Pu".split()
)
"""The 85 elements of OQMD's compounds, by atomic number."""
MAX_COUNT = 8
MIN_ELEMENTS, MAX_ELEMENTS = 2, 8

ATOMIC_NUMBERS = np.array([ATOMIC_NUMBER[symbol] for symbol in ALPHABET], np.uint8)
_OUTSIDE = 255
_ROW = np.full(len(SYMBOLS), _OUTSIDE, np.uint8)
_ROW[ATOMIC_NUMBERS] = np.arange(len(ALPHABET))


class OneHot(Encoder):
    """A grid of 85 elements by counts 1..8; a row without an on-cell is an absent element."""

    options: OneHotOptions
    shape: ClassVar[tuple[int, int]] = (len(ALPHABET), MAX_COUNT)

    def encodable(self, compositions: Compositions) -> NDArray[np.bool_]:
        """True for 2 to 8 elements of the alphabet with counts of at most 8."""
        inside = (_ROW[compositions.numbers] != _OUTSIDE) | (compositions.numbers == 0)
        n = compositions.n_elements
        fits = (compositions.counts <= MAX_COUNT).all(axis=1)
        return inside.all(axis=1) & fits & (n >= MIN_ELEMENTS) & (n <= MAX_ELEMENTS)

    def encode(self, compositions: Compositions) -> NDArray[np.uint8]:
        """uint8 [N, 85, 8] of zeros and ones.

        Raises:
            ValueError: a row has other elements, a count above 8, or not 2 to 8 elements.
        """
        bad = np.flatnonzero(~self.encodable(compositions))
        if len(bad):
            first = compositions[bad[:1]].to_formulas()[0]
            raise ValueError(f"{len(bad)} rows cannot be encoded, first row {bad[0]} ({first!r})")
        grid = np.zeros((len(compositions), *self.shape), np.uint8)
        rows, columns = np.nonzero(compositions.numbers)
        element = _ROW[compositions.numbers[rows, columns]]
        grid[rows, element, compositions.counts[rows, columns] - 1] = 1
        return grid

    def decode(self, samples: NDArray[Any]) -> Compositions:
        """Count = the strongest cell of a row, if it reaches the threshold; then reduced.

        Cells are compared in single precision; of equally strong ones the smallest count is taken.
        A sample with fewer than 2 or more than 8 elements becomes an empty row.

        Raises:
            ValueError: samples are not [N, 85, 8].
        """
        if samples.shape[1:] != self.shape:
            raise ValueError(f"samples must be [N, 85, 8], not {list(samples.shape)}")
        # Compiled, which takes long to import: who wants the alphabet alone does without.
        from matgen_onehot.decoding import decode

        dtype = np.uint8 if samples.dtype == np.uint8 else np.float32  # compiled for these two
        cells = np.ascontiguousarray(samples, dtype)
        return decode(cells, np.float32(self.options.threshold)).reduced()
