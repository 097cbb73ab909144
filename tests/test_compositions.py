"""`Compositions` against pymatgen, exact arithmetic, and hostile input."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pymatgen.core import Composition, Element

from matgen_core import Compositions
from matgen_core.datasets import held_out
from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_core.errors import InvalidFormula, UnknownName
from matgen_core.formulas import MAX_COUNT, parse_one

REAL = """
NaCl Fe2O3 LiFePO4 Ca(OH)2 Ca10(PO4)6(OH)2 K4[Fe(CN)6] (NH4)2SO4 [Co(NH3)6]Cl3 Al2(SO4)3
YBa2Cu3O7 YBa2Cu3O6.93 La1.85Sr0.15CuO4 Li0.5CoO2 Fe0.875O Ba0.6K0.4Fe2As2 Hg0.75Cd0.25Te
CuSO4(H2O)5 KAl(SO4)2(H2O)12 Mg3Si4O10(OH)2 Na2B4O5(OH)4(H2O)8 Pb(Zr0.5Ti0.5)O3
(La0.75Sr0.25)0.5MnO3 {Fe(OH)2}3 Si O2 CO Co CsCl HgTe PbS W UO2 ThO2 PuO2 XeF6 Og Ni3(Co(CN)6)2
Na(Zn4)2 Rb8Na16Si136 TiO2 OTi2 ((Mg)O2)3 H2O HeNe AmO2 Ti0.9999O2
""".split()

symbols = st.sampled_from(SYMBOLS[1:])
amounts = st.sampled_from(["", "1", "2", "3", "6", "12", "0.5", "1.25", ".5", "2.0", "0.125"])
batches = st.lists(
    st.dictionaries(st.integers(1, 118), st.integers(1, MAX_COUNT), max_size=9), max_size=8
)


def build(rows: list[dict[int, int]]) -> Compositions:
    """A batch made without the parser."""
    width = max([len(row) for row in rows] + [1])
    numbers = np.zeros((len(rows), width), np.uint8)
    counts = np.zeros((len(rows), width), np.uint16)
    for i, row in enumerate(rows):
        numbers[i, : len(row)] = sorted(row)
        counts[i, : len(row)] = [row[z] for z in sorted(row)]
    return Compositions(numbers, counts)


def amounts_of(compositions: Compositions) -> list[dict[str, int]]:
    return [
        {SYMBOLS[z]: int(c) for z, c in zip(numbers, counts, strict=True) if z}
        for numbers, counts in zip(compositions.numbers, compositions.counts, strict=True)
    ]


def whole(amounts: dict[str, Fraction]) -> dict[str, int]:
    """The smallest multiple in whole numbers, and not divided further."""
    scale = math.lcm(*(a.denominator for a in amounts.values()))
    return {symbol: int(a * scale) for symbol, a in amounts.items()}


def as_pymatgen_reads(formula: str) -> dict[str, int]:
    read = Composition(formula).get_el_amt_dict()
    return whole({symbol: Fraction(str(round(a, 8))) for symbol, a in read.items()})


@st.composite
def nested(draw: st.DrawFn, depth: int = 0) -> tuple[str, dict[str, Fraction]]:
    """A formula with groups in groups, and what it holds by exact arithmetic."""
    text, total = "", dict[str, Fraction]()
    for _ in range(draw(st.integers(1, 3))):
        amount = draw(amounts)
        if depth < 4 and draw(st.booleans()):
            inner, content = draw(nested(depth=depth + 1))
            opening, closing = draw(st.sampled_from(["()", "[]", "{}"]))
            text += opening + inner + closing + amount
        else:
            symbol = draw(symbols)
            content = {symbol: Fraction(1)}
            text += symbol + amount
        for symbol, n in content.items():
            total[symbol] = total.get(symbol, Fraction(0)) + n * Fraction(amount or 1)
    return text, total


# --- parsing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", REAL)
def test_parse_real_formulas_as_pymatgen_does(formula: str) -> None:
    assert amounts_of(Compositions.from_formulas([formula])) == [as_pymatgen_reads(formula)]


@given(st.lists(st.tuples(symbols, amounts), min_size=1, max_size=9), st.data())
def test_parse_as_pymatgen_does(parts: list[tuple[str, str]], data: st.DataObject) -> None:
    tokens = [symbol + amount for symbol, amount in parts]
    start = data.draw(st.integers(0, len(tokens) - 1))
    stop = data.draw(st.integers(start + 1, len(tokens)))
    group = "(" + "".join(tokens[start:stop]) + ")" + data.draw(amounts)
    formula = "".join([*tokens[:start], group, *tokens[stop:]])
    assert amounts_of(Compositions.from_formulas([formula])) == [as_pymatgen_reads(formula)]


@given(nested())
def test_parse_nested_groups_exactly(drawn: tuple[str, dict[str, Fraction]]) -> None:
    formula, total = drawn
    # A count too large on the way is refused, though a later factor may shrink it.
    assume(max(total.values()) < 500)
    expected = whole(total)
    compositions, reasons = Compositions.parse([formula])
    if max(expected.values()) > MAX_COUNT:
        assert str(MAX_COUNT) in reasons[0]
    elif not reasons:
        assert amounts_of(compositions) == [expected]
    else:
        assert f"more than {MAX_COUNT} atoms" in reasons[0]


@given(batches)
def test_formulas_round_trip(rows: list[dict[int, int]]) -> None:
    batch = build(rows)
    again, reasons = Compositions.parse(batch.to_formulas())
    assert amounts_of(again) == amounts_of(batch)
    assert sorted(reasons) == [i for i, row in enumerate(rows) if not row]


def test_failures_keep_their_place() -> None:
    batch, reasons = Compositions.parse(["NaCl", "Xx2", "", "MgO"])
    assert batch.to_formulas() == ["NaCl", "", "", "MgO"]
    assert list(reasons) == [1, 2]
    assert "Xx" in reasons[1]
    with pytest.raises(InvalidFormula, match="row 1"):
        Compositions.from_formulas(["NaCl", "Xx2", "MgO"])


@pytest.mark.parametrize(
    "formula",
    [
        "", "   ", "fe2o3", "FE2O3", "Xx", "J", "2H2O", "Fe-O", "Fe2 O3", "Fe+2O3", "H2O*", "Fe@C",
        "(Fe", "Fe)", "(Fe]2", "()", "Fe0", "(Fe)0", "Fe1.2.3", "Fe.", "Fe-1", "NaCl;DROP",
        "Na\0Cl", "Fe₂O₃", "Ｆｅ", "Fe²", "é", "水",
        "NaCl\nMgO", "H" + "9" * 900, "H65536", "H0.0000001O",
        "H1e5", "Fe1/2O", "nan", None, math.nan, 3, b"NaCl", ["NaCl"],
    ],
)  # fmt: skip
def test_refused(formula: object) -> None:
    batch, reasons = Compositions.parse([formula])  # type: ignore[list-item]
    assert batch.n_elements.tolist() == [0]
    assert reasons[0]
    assert "\n" not in reasons[0]


def test_hostile_strings_are_refused_quickly() -> None:
    hostile = [
        "(" * 10_000,
        "(" * 499 + "H" + ")9" * 250,
        "(" * 300 + "H" + ")99" * 300,
        "(" * 300 + "H" + ").000000001" * 50 + ")" * 250,
        "(" * 150 + "HO" + ")0.5" * 149 + "O)",
        "H" + "9" * 10_000,
        "H" + "9" * 900,
        "H0." + "3" * 900,
        "".join(f"{s}0.{i}7" for i, s in enumerate(SYMBOLS[1:100], 10_001)),
        "HO" * 5_000,
        "H\u0335\u0336" * 300,
        "\U0001f9ea" * 999,
        "A" * 999,
    ]
    started = time.perf_counter()
    batch, reasons = Compositions.parse(hostile)
    assert time.perf_counter() - started < 1
    assert sorted(reasons) == list(range(len(hostile)))
    assert not batch.n_elements.any()
    assert max(map(len, reasons.values())) < 1_200


def test_depth_alone_is_no_reason_to_refuse() -> None:
    assert Compositions.from_formulas(["(" * 400 + "H" + ")" * 400]).to_formulas() == ["H"]


def test_surrounding_space_is_ignored() -> None:
    assert Compositions.from_formulas([" Fe2O3\r\n"]).to_formulas() == ["Fe2O3"]


# --- the order of elements -------------------------------------------------------------------


def test_symbols_are_pymatgens() -> None:
    assert [Element.from_Z(z).symbol for z in range(1, 119)] == list(SYMBOLS[1:])


def test_every_pair_is_written_in_pymatgens_order() -> None:
    without = {"He", "Ne", "Ar", *SYMBOLS[104:]}  # no electronegativity
    known = [symbol for symbol in SYMBOLS[1:] if symbol not in without]
    pairs = [(a, b) for i, a in enumerate(known) for b in known[i + 1 :]]
    ours = Compositions.from_formulas(a + b for a, b in pairs).to_formulas()
    theirs = [Composition({a: 1, b: 1}).formula.replace("1", "").replace(" ", "") for a, b in pairs]
    assert len(pairs) == 100 * 99 / 2
    assert ours == theirs


def test_elements_without_electronegativity_come_last() -> None:
    formulas = Compositions.from_formulas(["HeF", "ArO", "NeArHe", "OgF"]).to_formulas()
    assert formulas == ["FHe", "OAr", "HeNeAr", "FOg"]


# --- reducing and comparing ------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:No Pauling electronegativity")
@given(batches, st.integers(1, 7))
def test_reduced_as_pymatgen_does(rows: list[dict[int, int]], factor: int) -> None:
    rows = [{z: min(c, 9_000) * factor for z, c in row.items()} for row in rows if row]
    expected = [
        {
            element.symbol: round(n)
            for element, n in Composition({SYMBOLS[z]: c for z, c in row.items()})
            .get_reduced_composition_and_factor()[0]
            .items()
        }
        if len(row) > 1
        else {SYMBOLS[next(iter(row))]: 1}
        for row in rows
    ]
    assert amounts_of(build(rows).reduced()) == expected


def test_reducing_an_empty_row_leaves_it_empty() -> None:
    assert Compositions.empty(3, 2).reduced().to_formulas() == ["", "", ""]


MASK = 2**64 - 1


def mix(x: int) -> int:
    """SplitMix64's output function on Python's own integers."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


@given(batches)
def test_fingerprint_is_as_documented(rows: list[dict[int, int]]) -> None:
    expected = [mix(sum(mix(z << 16 | c) for z, c in row.items()) & MASK) for row in rows]
    assert build(rows).fingerprints().tolist() == expected


def test_fingerprints_never_change() -> None:
    # Weights and data splits of the past depend on these very numbers.
    batch = Compositions.from_formulas(["NaCl", "Fe2O3", "LiFePO4", "Ca(OH)2"])
    assert batch.fingerprints().tolist() == [
        3360938802018600110,
        18406506016927175966,
        1339656946353808753,
        10825648876653548073,
    ]


@given(batches, batches)
def test_fingerprints_are_equal_for_equal_compositions_only(
    left: list[dict[int, int]], right: list[dict[int, int]]
) -> None:
    rows = left + right + left
    prints = build(rows).fingerprints().tolist()
    for i, row in enumerate(rows):
        assert [p == prints[i] for p in prints] == [other == row for other in rows]


def test_fingerprint_ignores_padding_and_neighbours() -> None:
    alone = Compositions.from_formulas(["NaCl"]).fingerprints()
    among = Compositions.from_formulas(["Ca10(PO4)6(OH)2", "ClNa"]).fingerprints()
    assert alone[0] == among[1]


@given(batches)
def test_first_occurrence(rows: list[dict[int, int]]) -> None:
    rows = rows + rows[::2]
    expected = [row not in rows[:i] for i, row in enumerate(rows)]
    assert build(rows).first_occurrence().tolist() == expected


def test_contains() -> None:
    batch = Compositions.concatenate(
        [Compositions.from_formulas(["NaCl", "Co", "CO"]), Compositions.empty(1)]
    )
    assert batch.contains(["Na", "Co", "C"]).tolist() == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
        [False, False, False],
    ]
    assert batch.contains([]).shape == (4, 0)
    with pytest.raises(UnknownName, match="unknown element 'cl'"):
        batch.contains(["Na", "cl"])


# --- building --------------------------------------------------------------------------------


@given(st.lists(batches, max_size=4))
def test_concatenate(parts: list[list[dict[int, int]]]) -> None:
    joined = Compositions.concatenate([build(rows) for rows in parts])
    expected = [{SYMBOLS[z]: c for z, c in row.items()} for rows in parts for row in rows]
    assert amounts_of(joined) == expected


def test_indexing() -> None:
    batch = Compositions.from_formulas(["NaCl", "MgO", "KBr"])
    assert batch[1:].to_formulas() == ["MgO", "KBr"]
    assert batch[np.array([2, 0])].to_formulas() == ["KBr", "NaCl"]
    assert batch[np.array([False, True, False])].to_formulas() == ["MgO"]


@pytest.mark.parametrize(
    ("numbers", "counts", "message"),
    [
        ([[17, 11]], [[1, 1]], "ascend"),
        ([[11, 11]], [[1, 1]], "ascend"),
        ([[0, 11]], [[0, 1]], "padding last"),
        ([[11, 0, 17]], [[1, 0, 1]], "padding last"),
        ([[11]], [[0]], "positive count"),
        ([[11, 0]], [[1, 1]], "positive count"),
        ([[119]], [[1]], "119 does not exist"),
        ([[11, 17]], [[1]], "share a shape"),
        ([11, 17], [1, 1], "share a shape"),
        ([[]], [[]], "share a shape"),
    ],
)
def test_invalid_arrays_are_refused(
    numbers: list[object], counts: list[object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Compositions(np.array(numbers, np.uint8), np.array(counts, np.uint16))


@pytest.mark.parametrize("dtypes", [(np.int64, np.uint16), (np.uint8, np.uint8)])
def test_other_dtypes_are_refused(dtypes: tuple[type, type]) -> None:
    with pytest.raises(ValueError, match="uint8 numbers and uint16 counts"):
        Compositions(np.array([[11]], dtypes[0]), np.array([[1]], dtypes[1]))


# --- pandas and pymatgen ---------------------------------------------------------------------


def test_from_and_to_pandas() -> None:
    frame = pd.DataFrame({"formula": ["O3Fe2", "NaCl"]}, index=[7, 3])
    table = Compositions.from_formulas(frame["formula"]).to_frame()
    assert table.to_dict("list") == {"formula": ["Fe2O3", "NaCl"], "n_elements": [2, 2]}
    missing, reasons = Compositions.parse(pd.Series(["NaCl", None, pd.NA, math.nan]))
    assert missing.to_formulas() == ["NaCl", "", "", ""]
    assert list(reasons) == [1, 2, 3]


def test_from_and_to_pymatgen() -> None:
    theirs = [Composition(f) for f in ("Fe2O3", "Ca(OH)2", "Li0.5CoO2")]
    ours = Compositions.from_pymatgen(theirs)
    assert ours.to_formulas() == ["Fe2O3", "CaH2O2", "LiCo2O4"]
    assert ours.to_pymatgen() == [theirs[0], theirs[1], theirs[2] * 2]


def test_oxidation_states_of_pymatgen_are_left_out() -> None:
    decorated = Composition({"Fe2+": 1, "Fe3+": 2, "O2-": 4})
    assert Compositions.from_pymatgen([decorated]).to_formulas() == ["Fe3O4"]


def test_no_rows_at_all() -> None:
    nothing = Compositions.from_formulas([])
    assert len(nothing) == 0
    assert nothing.to_formulas() == []
    assert nothing.to_pymatgen() == []
    assert len(nothing.reduced().fingerprints()) == 0
    assert len(nothing.first_occurrence()) == 0
    assert list(nothing.to_frame()) == ["formula", "n_elements"]


def test_an_empty_row_survives_pymatgen() -> None:
    assert Compositions.empty(1).to_pymatgen() == [Composition({})]


# --- splitting -------------------------------------------------------------------------------


def many(n: int, seed: int) -> Compositions:
    random = np.random.default_rng(seed)
    numbers = np.sort(random.integers(1, 119, (n, 4)).astype(np.uint8), axis=1)
    keep = (np.diff(numbers, axis=1) > 0).all(axis=1)
    return Compositions(numbers[keep], random.integers(1, 9, (n, 4)).astype(np.uint16)[keep])


def test_held_out_is_the_fraction_asked_for() -> None:
    compositions = many(50_000, seed=0).reduced()
    n = int(compositions.first_occurrence().sum())
    assert n > 45_000
    for fraction in (0.0, 0.1, 0.5):
        share = held_out(compositions, fraction).mean()
        assert abs(share - fraction) <= 5 * math.sqrt(fraction * (1 - fraction) / n)


def test_held_out_depends_on_the_compound_alone() -> None:
    compositions = many(5_000, seed=1)
    kept = held_out(compositions)
    order = np.random.default_rng(2).permutation(len(compositions))
    assert np.array_equal(held_out(compositions[order]), kept[order])
    assert np.array_equal(held_out(compositions[::7]), kept[::7])
    tripled = Compositions(compositions.numbers, compositions.counts * np.uint16(3))
    assert np.array_equal(held_out(tripled), kept)


def test_held_out_of_another_seed_is_another_choice() -> None:
    compositions = many(20_000, seed=3)
    both = held_out(compositions, seed=0) & held_out(compositions, seed=1)
    assert 0.005 < both.mean() < 0.015


def test_held_out_never_changes() -> None:
    formulas = ["NaCl", "Fe2O3", "MgO", "KBr", "LiFePO4", "SiC", "TiO2", "GaAs", "ZnS", "CsI"]
    expected = []
    for formula in formulas:
        row = {ATOMIC_NUMBER[s]: n for s, n in as_pymatgen_reads(formula).items()}
        fingerprint = mix(sum(mix(z << 16 | c) for z, c in row.items()) & MASK)
        expected.append(mix(fingerprint ^ mix(0)) < 0.3 * 2**64)
    assert 0 < sum(expected) < len(expected)
    assert held_out(Compositions.from_formulas(formulas), 0.3).tolist() == expected


# --- plain formulas are read all at once: the same as one by one --------------------------------

SNIPPETS = ("Na", "Cl", "O", "H", "N", "C", "Co", "Xx", "X", "a", "l", "1", "2", "0", "12", "9999")
ODD = ("99999", "65536", "(", ")", "[", "]", ".", "0.5", " ", "\n", "\0", "\r", "é", "²", "-", "_")


@given(
    st.lists(
        st.lists(st.sampled_from(SNIPPETS + ODD), max_size=7).map("".join)
        | st.lists(st.sampled_from(SNIPPETS), min_size=1, max_size=7).map("".join),
        max_size=6,
    )
)
@example(["Na\0Cl", "NaCl\0", "", "2Na", "Na0", "Na0Cl", "NaNaNa2", "H9999" * 7, "O" * 1001])
@example(["NaCl\nKBr", "KBr"])
def test_a_batch_reads_what_single_formulas_read(formulas: list[str]) -> None:
    compositions, reasons = Compositions.parse(formulas)
    assert len(compositions) == len(formulas)
    for i, formula in enumerate(formulas):
        there = compositions.numbers[i] > 0
        row = zip(compositions.numbers[i, there], compositions.counts[i, there], strict=True)
        alone = parse_alone(formula)
        assert ([(int(z), int(c)) for z, c in row], reasons.get(i)) == alone


def parse_alone(formula: str) -> tuple[list[tuple[int, int]], str | None]:
    try:
        return parse_one(formula), None
    except InvalidFormula as reason:
        return [], str(reason)


def test_blocks_join_without_a_seam() -> None:
    formulas = ["NaCl", "Ca(OH)2", "nonsense", "LiFePO4", "H"] * 25_000
    compositions, reasons = Compositions.parse(formulas)
    assert compositions.to_formulas()[-5:] == ["NaCl", "CaH2O2", "", "LiFePO4", "H"]
    assert sorted(reasons) == list(range(2, len(formulas), 5))
    one, _ = Compositions.parse(formulas[:5])
    np.testing.assert_array_equal(compositions.fingerprints(), np.tile(one.fingerprints(), 25_000))
