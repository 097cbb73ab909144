"""Magpie's descriptors against matminer's own, and against their definitions in plain Python."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matgen_core import Compositions
from matgen_core.elements import SYMBOLS
from matgen_core.errors import DataError
from matgen_magpie import FEATURES, PROPERTIES, STATISTICS, element_table, magpie
from matgen_rules import validators

LAST = SYMBOLS.index("Bk")
"""The last element of the table."""

rows = st.dictionaries(
    st.integers(1, LAST), st.integers(1, 4) | st.integers(1, 65_535), min_size=1, max_size=9
)
"""Formulas, {atomic number: count}; small counts make ties."""


def compositions_of(formulas):
    """`Compositions` of formulas {atomic number: count}."""
    width = max(map(len, formulas), default=1)
    numbers = np.zeros((len(formulas), width), np.uint8)
    counts = np.zeros((len(formulas), width), np.uint16)
    for i, formula in enumerate(formulas):
        numbers[i, : len(formula)] = sorted(formula)
        counts[i, : len(formula)] = [formula[z] for z in sorted(formula)]
    return Compositions(numbers, counts)


@cache
def real_compounds():
    """1,000 compounds of measured formation energy, from a table that comes with pymatgen."""
    package = Path(find_spec("pymatgen.analysis.compatibility").origin).parent
    table = json.loads(gzip.decompress((package / "exp_compounds.json.gz").read_bytes()))
    formulas = sorted({row["formula"] for row in table})
    chosen = np.random.default_rng(0).choice(formulas, 1_000, replace=False)
    return Compositions.from_formulas(chosen.tolist())


@cache
def matminer():
    """Matminer's featuriser, as it is without guesses at what is unknown."""
    composition = pytest.importorskip(
        "matminer.featurizers.composition",
        reason="declares pandas < 3, so `pip install --no-deps matminer`, as `nox -s tests` does",
    )
    return composition.ElementProperty.from_preset("magpie", impute_nan=False)


def matminer_says(compositions):
    """Matminer's values, float64 [N, 132]."""
    return np.array([matminer().featurize(c) for c in compositions.to_pymatgen()], np.float64)


def by_definition(formula):
    """The 132 values of a formula {atomic number: count}, one after the other."""
    atoms, most = sum(formula.values()), max(formula.values())
    values = []
    for column in element_table().T:
        of = {z: float(column[z]) for z in formula}
        mean = math.fsum(of[z] * n for z, n in formula.items()) / atoms
        deviation = math.fsum(abs(of[z] - mean) * n for z, n in formula.items()) / atoms
        low, high = (math.nan,) * 2 if math.isnan(mean) else (min(of.values()), max(of.values()))
        modes = [of[z] for z, n in formula.items() if n == most]
        mode = math.nan if any(map(math.isnan, modes)) else min(modes)
        values += [low, high, high - low, mean, deviation, mode]
    return values


# --- matminer's own values ------------------------------------------------------------------------


def test_columns_are_those_of_matminer():
    assert [f"MagpieData {name}" for name in FEATURES] == matminer().feature_labels()


def test_agrees_with_matminer_on_real_compounds():
    found, expected = magpie(real_compounds()), matminer_says(real_compounds())
    assert found.shape == (1_000, 132)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_agrees_with_matminer_on_every_element():
    """In all that is known and unknown of them, alone and with a partner that may prevail."""
    everything = [{z: 1} for z in range(1, LAST + 1)]
    for partner, n in ((8, 2), (8, 1), (87, 1), (10, 3)):
        everything += [{z: 1, partner: n} for z in range(1, LAST + 1) if z != partner]
    batch = compositions_of(everything)
    expected = matminer_says(batch)
    assert np.isnan(expected).any()
    np.testing.assert_allclose(magpie(batch), expected, rtol=0, atol=1e-6)


def test_agrees_with_matminer_on_ties_and_large_counts():
    rng = np.random.default_rng(0)
    batch = compositions_of(
        [
            dict(
                zip(
                    rng.choice(np.arange(1, LAST + 1), k, replace=False).tolist(),
                    rng.integers(top - 1, top + 1, k).tolist(),
                    strict=True,
                )
            )
            for top in (2, 3, 8, 65_535)
            for k in range(1, 9)
            for _ in range(4)
        ]
    )
    np.testing.assert_allclose(magpie(batch), matminer_says(batch), rtol=0, atol=1e-6)


# --- properties -----------------------------------------------------------------------------------


@given(st.lists(rows, min_size=1, max_size=4))
def test_agrees_with_the_definitions(formulas):
    expected = [by_definition(formula) for formula in formulas]
    np.testing.assert_allclose(magpie(compositions_of(formulas)), expected, rtol=1e-12, atol=1e-9)


@given(st.dictionaries(st.integers(1, 118), st.integers(1, 99), min_size=1, max_size=8),
       st.integers(1, 600))  # fmt: skip
def test_a_multiple_has_the_same_values_to_the_bit(formula, factor):
    multiple = {z: n * factor for z, n in formula.items()}
    one, many = magpie(compositions_of([formula])), magpie(compositions_of([multiple]))
    np.testing.assert_array_equal(one, many)


def test_rows_do_not_depend_on_their_neighbours():
    many = real_compounds()[np.arange(50_000) % 1_000]  # enough for several threads
    np.testing.assert_array_equal(magpie(many), magpie(real_compounds())[np.arange(50_000) % 1_000])


def test_unknown_is_nan():
    batch = Compositions.concatenate(
        [
            Compositions.empty(1),
            Compositions.from_formulas(["CfO2", "O2Og", "LaO", "He"]),
        ]
    )
    values = magpie(batch)
    assert np.isnan(values[:3]).all()
    assert np.isfinite(values[3]).all()
    unknown = {FEATURES[j].split()[1] for j in np.flatnonzero(np.isnan(values[4]))}
    assert unknown == {"MeltingT", "Electronegativity"}
    assert np.isnan(values[4]).sum() == 2 * len(STATISTICS)


def test_no_rows():
    assert magpie(Compositions.empty(0)).shape == (0, 132)


def test_the_table():
    table = element_table()
    assert table.shape == (119, len(PROPERTIES))
    assert np.isnan(table[0]).all()
    assert np.isnan(table[LAST + 1 :]).all()
    assert table[26, PROPERTIES.index("Number")] == 26
    assert table[26, PROPERTIES.index("AtomicWeight")] == 55.845
    assert np.isnan(table[1 : LAST + 1]).sum() == 10  # as many as matminer has there


def test_missing_table_says_what_to_do(monkeypatch):
    monkeypatch.setattr(validators, "find_spec", lambda _: None)
    with pytest.raises(DataError, match="pip install"):
        element_table.__wrapped__()
    other = find_spec("json")
    monkeypatch.setattr(validators, "find_spec", lambda _: other)
    with pytest.raises(DataError, match=r"no magpie\.csv.*pip install"):
        element_table.__wrapped__()


def test_smact_itself_is_not_imported():
    """That takes seconds; its file is read where it lies."""
    code = (
        "import sys; from matgen_core import Compositions; from matgen_magpie import magpie\n"
        "magpie(Compositions.from_formulas(['NaCl']))\n"
        "assert not {'smact', 'matminer', 'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
