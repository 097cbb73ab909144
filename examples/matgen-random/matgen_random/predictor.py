"""The predictor `molar-mass`."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from matgen_core import Compositions, Predictor
from matgen_core.elements import SYMBOLS


class MolarMass(Predictor):
    """Mass of one formula unit; NaN for an empty row."""

    property, unit = "molar_mass", "g/mol"

    def predict(self, compositions: Compositions) -> NDArray[np.float64]:
        """Molar masses, float64 [N]."""
        mass = (atomic_masses()[compositions.numbers] * compositions.counts).sum(axis=1)
        return np.where(compositions.n_elements > 0, mass, np.nan)


@cache
def atomic_masses() -> NDArray[np.float64]:
    """Atomic mass in g/mol by atomic number; 0 for "no element"."""
    from pymatgen.core import Element  # takes a second: not before it is needed

    return np.array([0.0] + [float(Element(symbol).atomic_mass) for symbol in SYMBOLS[1:]])
