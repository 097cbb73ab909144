"""Magpie's description of a composition: 22 properties of its elements, 6 statistics of each.

Ward et al., npj Comput. Mater. 2:16028 (2016), doi:10.1038/npjcompumats.2016.28. The values are
those of matminer's ``ElementProperty.from_preset("magpie", impute_nan=False)`` for the elements
from hydrogen to berkelium, thousands of times faster.

The elements' properties are read from SMACT's package data, which end at berkelium and are those
of matminer but for ten unknown values that SMACT's authors filled in (with the column's median);
here, as in matminer, they are unknown.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matgen_core import Compositions
from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_kernels import compiled, in_threads
from matgen_rules.validators import smact_file

PROPERTIES = (
    "Number", "MendeleevNumber", "AtomicWeight", "MeltingT", "Column", "Row", "CovalentRadius",
    "Electronegativity", "NsValence", "NpValence", "NdValence", "NfValence", "NValence",
    "NsUnfilled", "NpUnfilled", "NdUnfilled", "NfUnfilled", "NUnfilled", "GSvolume_pa",
    "GSbandgap", "GSmagmom", "SpaceGroupNumber",
)  # fmt: skip
"""Of the elements, by the names of Magpie and matminer."""
STATISTICS = ("minimum", "maximum", "range", "mean", "avg_dev", "mode")
"""Of each property over the atoms of a formula; ``avg_dev`` is the mean absolute deviation."""
FEATURES = tuple(f"{statistic} {name}" for name in PROPERTIES for statistic in STATISTICS)
"""Name of each column of `magpie`."""

_FILLED_IN = {
    "MeltingT": ("He", "Fr"),
    "CovalentRadius": ("Bk",),
    "Electronegativity": ("He", "Ne", "Ar", "Rn"),
    "SpaceGroupNumber": ("At", "Rn", "Fr"),
}


@cache
def element_table() -> NDArray[np.float64]:
    """`PROPERTIES` by atomic number, float64 [119, 22]; NaN where unknown.

    Raises:
        DataError: SMACT, which carries the table, is not installed, or lacks it.
    """
    import pandas as pd

    read = pd.read_csv(smact_file("magpie.csv"), index_col="element", keep_default_na=False)
    read = read.rename(index=ATOMIC_NUMBER)
    for name, symbols in _FILLED_IN.items():
        read.loc[[ATOMIC_NUMBER[symbol] for symbol in symbols], name] = np.nan
    return read.reindex(index=range(len(SYMBOLS)), columns=PROPERTIES).to_numpy(np.float64)


def magpie(compositions: Compositions) -> NDArray[np.float64]:
    """`FEATURES` of each composition, float64 [N, 132]; the same for every multiple of a formula.

    A row of NaN where there is no element, or one beyond berkelium. The statistics of a property
    that is unknown of an element are NaN, but for the mode if another element prevails.
    """
    # A multiple would differ in the last bit of a mean, and a tree might send it elsewhere.
    reduced = compositions.reduced()
    numbers = np.ascontiguousarray(reduced.numbers)
    counts = np.ascontiguousarray(reduced.counts)
    features = np.empty((len(reduced), len(FEATURES)))
    table = element_table()

    def describe(rows: slice) -> None:
        _describe(numbers[rows], counts[rows], table, features[rows])

    in_threads(describe, len(reduced))
    return features


@compiled
def _describe(numbers: Any, counts: Any, table: Any, features: Any) -> None:
    """Write the statistics of each row of `numbers` and `counts` into `features`."""
    for i in range(len(numbers)):
        n, atoms, most, known = 0, 0, 0, True
        while n < numbers.shape[1] and numbers[i, n] > 0:
            known &= not np.isnan(table[numbers[i, n], 0])  # the atomic number itself
            atoms += counts[i, n]
            most = max(most, counts[i, n])
            n += 1
        if n == 0 or not known:
            features[i] = np.nan
            continue
        for p in range(table.shape[1]):
            total = 0.0
            low, high, mode = np.inf, -np.inf, np.inf
            for k in range(n):
                value = table[numbers[i, k], p]
                total += counts[i, k] * value  # NaN if a value is
                low, high = min(low, value), max(high, value)
                # Of equally frequent elements, the lowest value; NaN stays NaN.
                if counts[i, k] == most and (value < mode or np.isnan(value)):
                    mode = value
            mean = total / atoms
            deviation = 0.0
            for k in range(n):
                deviation += counts[i, k] * abs(table[numbers[i, k], p] - mean)
            if np.isnan(total):
                low = high = total
            features[i, 6 * p : 6 * p + 6] = (low, high, high - low, mean, deviation / atoms, mode)
