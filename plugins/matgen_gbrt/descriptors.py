"""What the trees see of a composition.

The paper's choice is Magpie's 132 statistics. They are means and extremes over the atoms of a
formula, so they cannot tell whether its electrons pair up or its charges balance, which separates
insulators from metals, nor which elements it is made of. The others say that, and lower the error
of the band gap by a fifth; ``benchmarks/band_gap.py`` measures it.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from matgen_core import Compositions
from matgen_magpie import PROPERTIES, element_table, magpie
from matgen_rules import RulesOptions
from matgen_rules.validators import Charge, Eneg, smact_tables

SETS = ("smact14", "icsd24")
"""SMACT's sets of oxidation states that verdicts are asked of."""
ANION = 2.1
"""Pauling electronegativity above which an element is counted among the anions."""


@cache
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """By atomic number 0..118, where 0 is no element.

    Returns:
        Whether all of Magpie's properties are known, bool [119]; Pauling electronegativities,
        float64 [119]; SMACT's lowest oxidation state if negative, lowest positive one and highest
        if positive, else 0, float64 [119, 3].
    """
    magpies = element_table()
    known = np.isfinite(magpies).all(axis=1)
    known[0] = True
    states, sizes, _ = smact_tables("smact14", balance=False)
    real = np.arange(states.shape[1]) < sizes[:, None]
    lowest = np.where(real, states, 0).min(axis=1)
    positive = np.where(real & (states > 0), states, 127)
    least = np.where((positive < 127).any(axis=1), positive.min(axis=1), 0)
    most = np.where(real, states, 0).max(axis=1)
    enegs = np.where(known, magpies[:, PROPERTIES.index("Electronegativity")], 0.0)
    enegs[0] = 0.0
    return known, enegs, np.stack([lowest, least, most], axis=1).astype(np.float64)


def identity() -> str:
    """Hex sha256 of the elements' data: trees that learned from other data can't use these."""
    digest = hashlib.sha256(element_table().astype("<f8").tobytes())
    for name in SETS:
        for balance in (False, True):
            for table in smact_tables(name, balance):
                digest.update(table.tobytes())
    return digest.hexdigest()


def inside(compositions: Compositions) -> NDArray[np.bool_]:
    """Which rows have elements, all of them known to Magpie in every property, bool [N].

    It does not know He, Ne, Ar, At, Rn, Fr, nor what comes after curium.
    """
    known: NDArray[np.bool_] = _tables()[0][compositions.numbers].all(axis=1)
    return known & (compositions.n_elements > 0)


def width() -> int:
    """How many descriptors there are."""
    return describe(Compositions.empty()).shape[1]


def describe(compositions: Compositions) -> NDArray[np.float32]:
    """Descriptors of compositions that are all `inside`, float32 [N, F].

    Magpie's statistics; the share of each element's atoms; electrons of the reduced formula; two
    charge balances; SMACT's verdicts. They are the same for every multiple of a formula.
    """
    reduced = compositions.reduced()
    columns = [
        magpie(reduced),
        _shares(reduced),
        _electrons(reduced),
        _balances(reduced),
        _verdicts(reduced),
    ]
    return np.concatenate([c.astype(np.float32) for c in columns], axis=1)


def _shares(compositions: Compositions) -> NDArray[np.float32]:
    """Atoms of each element of the domain as a share of all atoms, float32 [N, E]."""
    elements = np.flatnonzero(_tables()[0])[1:]
    place = np.zeros(len(_tables()[0]), np.intp)
    place[elements] = np.arange(len(elements))
    shares = np.zeros((len(compositions), len(elements)), np.float32)
    rows, columns = np.nonzero(compositions.numbers)
    counts = compositions.counts
    shares[rows, place[compositions.numbers[rows, columns]]] = (
        counts[rows, columns] / counts.sum(axis=1)[rows]
    )
    return shares


def _electrons(compositions: Compositions) -> NDArray[np.float64]:
    """How many electrons a formula unit has, and whether one stays unpaired, float64 [N, 2]."""
    electrons = (compositions.numbers.astype(np.int64) * compositions.counts).sum(axis=1)
    return np.stack([electrons, electrons % 2], axis=1).astype(np.float64)


def _balances(compositions: Compositions) -> NDArray[np.float64]:
    """How far the charges of cations can make up for those of anions, float64 [N, 10].

    Anions are the most electronegative element, and then every element above `ANION`; they take
    their lowest charge, and cations their highest or their lowest positive one.
    """
    _, enegs, states = _tables()
    counts = compositions.counts.astype(np.float64)
    atoms = counts.sum(axis=1)
    eneg = enegs[compositions.numbers]
    charge = states[compositions.numbers] * counts[..., None]  # [N, K, 3]
    strongest = np.zeros(eneg.shape, np.bool_)
    strongest[np.arange(len(eneg)), eneg.argmax(axis=1)] = True
    columns = []
    for anion in (strongest, eneg > ANION):
        need = -np.where(anion, charge[..., 0], 0.0).sum(axis=1)
        for offered in (charge[..., 2], charge[..., 1]):
            offer = np.where(anion, 0.0, offered).sum(axis=1)
            columns += [(offer - need) / atoms, need / np.maximum(offer, 0.1)]
        columns.append(need / atoms)
    return np.stack(columns, axis=1)


def _verdicts(compositions: Compositions) -> NDArray[np.bool_]:
    """Whether SMACT's tests pass, by each of `SETS`, bool [N, 4]."""
    return np.stack(
        [
            test(RulesOptions(oxidation_states=states)).check(compositions)
            for states in SETS
            for test in (Charge, Eneg)
        ],
        axis=1,
    )
