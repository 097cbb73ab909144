"""The validators `charge` and `eneg` against SMACT itself, and against brute force."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import matgen_kernels
import matgen_rules
from matgen_core import Compositions
from matgen_core.elements import SYMBOLS
from matgen_core.errors import DataError
from matgen_rules import RulesOptions, validators
from matgen_rules.validators import Charge, Eneg

SETS = ("smact14", "icsd24", "icsd16", "pymatgen_sp", "wiki")
TESTS = {Charge: False, Eneg: True}  # the validator, and SMACT's use_pauling_test


def check(test, compositions, states="smact14"):
    return test(RulesOptions(oxidation_states=states)).check(compositions)


def verdicts(formulas, states="smact14"):
    """(charge, eneg) of each formula."""
    batch = Compositions.from_formulas(formulas)
    return list(zip(check(Charge, batch, states), check(Eneg, batch, states), strict=True))


def smact_says(compositions, balance, states):
    """SMACT's verdict on each row; False for elements it does not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SMACT warns of its `wiki` set
        from smact.screening import smact_validity

        def one(formula):
            try:
                return smact_validity(
                    formula,
                    use_pauling_test=balance,
                    include_alloys=False,
                    oxidation_states_set=states,
                )
            except KeyError:
                return False

        return np.array([one(formula) for formula in compositions.to_formulas()])


@cache
def smact_element(symbol):
    """(smact14 states, electronegativity), as SMACT itself reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from smact import Element

        element = Element(symbol)
    return element.oxidation_states_smact14 or [], element.pauling_eneg


def brute_force(row, balance):
    """Every choice of states of one formula, {symbol: count}, all at once."""
    states, enegs = zip(*map(smact_element, row), strict=True)
    if not all(states) or (balance and None in enegs):
        return False
    choices = np.stack(np.meshgrid(*states, indexing="ij"), axis=-1).reshape(-1, len(row))
    choices = choices[choices @ np.array(list(row.values())) == 0]
    if not balance:
        return len(choices) > 0
    highest_cation = np.where(choices > 0, enegs, -np.inf).max(axis=1)
    lowest_anion = np.where(choices < 0, enegs, np.inf).min(axis=1)
    return bool((highest_cation < lowest_anion).any())


def combinations(row):
    """How many choices of states SMACT has to try, at most."""
    sizes = validators.smact_tables("wiki", False).sizes  # the largest of its sets
    return math.prod(int(sizes[SYMBOLS.index(symbol)]) for symbol in row)


def random_rows(seed, n, n_elements, top=8, *, symbols=SYMBOLS[1:], limit=math.inf):
    """`n` random formulas, {symbol: count}, of at most `limit` combinations of states."""
    rng = np.random.default_rng(seed)
    rows = []
    while len(rows) < n:
        chosen = rng.choice(symbols, n_elements, replace=False).tolist()
        if combinations(chosen) <= limit:
            counts = rng.integers(1, top + 1, n_elements).tolist()
            rows.append(dict(zip(chosen, counts, strict=True)))
    return rows


def compositions_of(rows):
    return Compositions.from_formulas("".join(f"{s}{c}" for s, c in row.items()) for row in rows)


# --- SMACT's own verdict --------------------------------------------------------------------------


@pytest.mark.parametrize("states", SETS)
@pytest.mark.parametrize("test", TESTS)
def test_agrees_with_smact_on_random_formulas(test, states):
    # SMACT's time grows with the number of combinations, so those are limited.
    rows = [
        row
        for n_elements in range(2, 8)
        for row in random_rows(n_elements, 60, n_elements, limit=5_000)
    ]
    batch = compositions_of(rows)
    expected = smact_says(batch, TESTS[test], states)
    assert expected.any()
    assert not expected.all()
    np.testing.assert_array_equal(check(test, batch, states), expected)


@pytest.mark.parametrize("states", SETS)
@pytest.mark.parametrize("test", TESTS)
def test_agrees_with_smact_on_every_element(test, states):
    partners = {"O": "O", "F": "F3", "K": "K2", "N": "N"}
    batch = Compositions.from_formulas(
        formula
        for symbol in SYMBOLS[1:]
        for formula in (symbol, *(symbol + p for s, p in partners.items() if s != symbol))
    )
    expected = smact_says(batch, TESTS[test], states)
    np.testing.assert_array_equal(check(test, batch, states), expected)


@pytest.mark.parametrize("test", TESTS)
def test_agrees_with_smact_on_large_counts(test):
    rows = random_rows(0, 100, 2, 65_535) + random_rows(1, 100, 3, 300, limit=500)
    rows += [{"Na": 65_535, "Cl": 65_535}, {"Fe": 40_000, "O": 60_000}, {"C": 60, "H": 65_534}]
    rows += [{"Cs": 65_534, "O": 32_767}, {"Cs": 65_533, "O": 32_767}, {"Ti": 1, "O": 65_535}]
    batch = compositions_of(rows)
    expected = smact_says(batch, TESTS[test], "smact14")
    np.testing.assert_array_equal(check(test, batch), expected)


# --- known answers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "charge", "eneg"),
    [
        ("NaCl", True, True),
        ("LiFePO4", True, True),
        ("NaCl2", False, False),  # neither 2 nor 1/2 is a state of sodium
        ("LiNa", True, False),  # Na(-1) is less electronegative than Li(+1)
        ("Fe", True, True),
        ("He", True, True),
        ("Og", True, True),  # a pure element passes, though SMACT has no data on it
        ("HeO", False, False),  # no oxidation states
        ("PmCl3", True, False),  # no electronegativity
        ("RfCl4", False, False),  # beyond SMACT's elements
        ("KRb", True, False),  # equal electronegativities: cation and anion are no choice
        ("MgAl", False, False),  # cations only
        ("OF", True, True),
    ],
)
def test_known_answers(formula, charge, eneg):
    assert verdicts([formula]) == [(charge, eneg)]


def test_smact_raises_where_the_docstring_says_so():
    with pytest.raises(KeyError):
        smact_element("Rf")


def test_zero_is_a_state_of_either_side():
    # Of `wiki`: argon has only the state 0, so ArLi is neutral only as Ar(0) Li(0), and argon
    # has no electronegativity.
    assert verdicts(["ArLi", "LiBe", "LiNa"], "wiki") == [(True, False), (True, True), (True, True)]


def test_an_empty_row_is_false():
    for test in TESTS:
        assert check(test, Compositions.empty(3)).tolist() == [False] * 3
        assert check(test, Compositions.empty(0)).shape == (0,)


# --- brute force beyond SMACT's reach -------------------------------------------------------------

FEW_STATES = [s for s in SYMBOLS[1:104] if s not in {"Rf"} and 1 <= len(smact_element(s)[0]) <= 3]


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("n_elements", [8, 9, 10, 12])
def test_agrees_with_brute_force_on_many_elements(n_elements, test):
    rows = []
    for row in random_rows(n_elements, 40, n_elements - 2, symbols=FEW_STATES):
        if math.prod(len(smact_element(s)[0]) for s in row) <= 20_000:
            row.setdefault("O", 8)
            row.setdefault("F", 5)
            rows.append(row)
    expected = np.array([brute_force(row, TESTS[test]) for row in rows])
    assert expected.any()
    np.testing.assert_array_equal(check(test, compositions_of(rows)), expected)


@pytest.mark.parametrize("test", TESTS)
def test_agrees_with_brute_force_on_large_counts(test):
    """More sums than 64 bits hold: the path on Python's integers, neutral and nearly neutral."""
    rng = np.random.default_rng(3)
    rows = []
    cations = [s for s in FEW_STATES if min(smact_element(s)[0]) > 0]
    for row in random_rows(4, 60, 6, 2_000, symbols=cations):
        charge = sum(c * int(rng.choice(smact_element(s)[0])) for s, c in row.items())
        oxygen = charge // 4
        fluorine = charge - 2 * oxygen
        rows += [row | {"O": oxygen, "F": fluorine + more} for more in (0, 1, 40_000)]
    expected = np.array([brute_force(row, TESTS[test]) for row in rows])
    assert expected.any()
    assert not expected.all()
    np.testing.assert_array_equal(check(test, compositions_of(rows)), expected)


@pytest.mark.parametrize("test", TESTS)
def test_agrees_with_brute_force_where_the_word_is_full(test):
    """Sums on both sides of 64, each value of them."""
    rows = [
        {"Sr": sr, "Sn": sn, "O": o}
        for sr in range(1, 5)
        for sn in range(1, 20)
        for o in range(1, 24)
    ]
    rows += [
        {"Sr": sr, "Sc": sc, "F": f}
        for sr in range(4, 16, 3)
        for sc in range(10, 22)
        for f in range(60, 68)
    ]
    expected = np.array([brute_force(row, TESTS[test]) for row in rows])
    np.testing.assert_array_equal(check(test, compositions_of(rows)), expected)


@pytest.mark.parametrize("test", TESTS)
def test_both_widths_agree(test):
    """What the compiled word decides, Python's integers decide alike."""
    batch = compositions_of(
        row for n in range(2, 9) for top in (8, 20) for row in random_rows(n, 200, n, top)
    )
    tables = validators.smact_tables("smact14", TESTS[test])
    batch = batch[(tables.sizes[batch.numbers] > 0).sum(axis=1) == batch.n_elements]
    exact = [
        validators._check_unbounded(*row, [t.tolist() for t in tables], TESTS[test])
        for row in zip(batch.numbers.tolist(), batch.counts.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(check(test, batch), np.array(exact, bool))


def test_every_element_at_once():
    """A formula of all elements that have states, with counts that share no divisor."""
    zs = np.flatnonzero(validators.smact_tables("wiki", True).sizes).astype(np.uint8)
    counts = np.random.default_rng(0).integers(1, 65_536, zs.shape).astype(np.uint16)
    batch = Compositions(zs[None], counts[None])
    assert check(Charge, batch, "wiki").tolist() == check(Eneg, batch, "wiki").tolist() == [True]


# --- properties -----------------------------------------------------------------------------------

formulas = st.dictionaries(
    st.sampled_from(SYMBOLS[1:]), st.integers(1, 12), min_size=1, max_size=10
)
relaxed = settings(max_examples=200)


@relaxed
@given(row=formulas, factor=st.integers(2, 5_000), states=st.sampled_from(SETS))
def test_multiples_change_no_verdict(row, factor, states):
    pair = compositions_of([row, {s: c * factor for s, c in row.items()}])
    for test in TESTS:
        one, multiple = check(test, pair, states)
        assert one == multiple


@relaxed
@given(rows=st.lists(formulas, min_size=1, max_size=20), states=st.sampled_from(SETS))
def test_balance_implies_neutrality(rows, states):
    batch = compositions_of(rows)
    assert (check(Charge, batch, states) | ~check(Eneg, batch, states)).all()


@relaxed
@given(rows=st.lists(formulas, min_size=1, max_size=20), seed=st.integers(0, 2**32 - 1))
def test_a_row_is_judged_by_itself(rows, seed):
    batch = compositions_of(rows)
    order = np.random.default_rng(seed).permutation(len(rows))
    for test in TESTS:
        verdict = check(test, batch)
        np.testing.assert_array_equal(check(test, batch[order]), verdict[order])
        assert [
            bool(check(test, batch[i : i + 1])[0]) for i in range(len(rows))
        ] == verdict.tolist()


def test_batches_of_several_threads():
    few = compositions_of(random_rows(5, 1_000, 4))
    many = Compositions.concatenate([few] * (3 * matgen_kernels.ROWS_PER_THREAD // len(few)))
    for test in TESTS:
        expected = np.tile(check(test, few), len(many) // len(few))
        np.testing.assert_array_equal(check(test, many), expected)
        np.testing.assert_array_equal(check(test, many[::2]), expected[::2])  # not contiguous


# --- the plugin -----------------------------------------------------------------------------------


def test_descriptors_match_the_classes():
    components = {c.name: c for c in matgen_rules.matgen_validators()}
    assert set(components) == {"charge", "eneg"}
    for component in components.values():
        module, _, name = component.factory.partition(":")
        assert TESTS.keys() >= {getattr(sys.modules[module], name)}
        assert component.options is RulesOptions


def test_listing_imports_neither_numba_nor_smact():
    code = (
        "import sys, matgen_rules; list(matgen_rules.matgen_validators());"
        "print(sorted({'numba', 'smact', 'pymatgen'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_options_are_refused():
    with pytest.raises(ValidationError):
        RulesOptions(oxidation_states="icsd99")
    with pytest.raises(ValidationError):
        RulesOptions(states="icsd24")


def test_missing_smact_is_reported(monkeypatch):
    monkeypatch.setattr(validators, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install"):
        list(validators._rows("element_data.txt"))
    monkeypatch.undo()
    with pytest.raises(DataError, match="no nothing"):
        list(validators._rows("nothing.txt"))


def test_works_where_no_cache_can_be_written(monkeypatch):
    def unwritable(function, *, cache=False, nogil):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return function

    monkeypatch.setattr(matgen_kernels, "njit", unwritable)
    assert matgen_kernels.compiled(len) is len
