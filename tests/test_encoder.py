"""The one-hot encoder: exact both ways, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from pymatgen.core import Element

from matgen_core import Compositions
from matgen_core.elements import ATOMIC_NUMBER, SYMBOLS
from matgen_kernels import ROWS_PER_THREAD
from matgen_onehot import OneHotOptions
from matgen_onehot.encoder import ALPHABET, OneHot

ENCODER = OneHot(OneHotOptions())

compositions = st.dictionaries(st.sampled_from(ALPHABET), st.integers(1, 8), min_size=2, max_size=8)


def formula(composition: dict[str, int]) -> str:
    return "".join(f"{symbol}{n}" for symbol, n in composition.items())


def grid(*cells: tuple[str, int, float]) -> np.ndarray:
    """One sample with a value at each (element, count)."""
    sample = np.zeros((1, 85, 8), np.float32)
    for symbol, count, value in cells:
        sample[0, ALPHABET.index(symbol), count - 1] = value
    return sample


def decode(sample: np.ndarray, threshold: float = 0.2) -> str:
    (text,) = OneHot(OneHotOptions(threshold=threshold)).decode(sample).to_formulas()
    return text


# --- the alphabet ----------------------------------------------------------------------------


def test_alphabet() -> None:
    """The paper's 85 elements: up to plutonium, but for noble gases and the short-lived."""
    absent = "He Ne Ar Kr Po At Rn Fr Ra".split()
    expected = [Element.from_Z(z).symbol for z in range(1, 95)]
    assert list(ALPHABET) == [symbol for symbol in expected if symbol not in absent]
    assert OneHot.shape == (85, 8)


# --- the round trip --------------------------------------------------------------------------


@given(st.lists(compositions, max_size=6))
def test_round_trip(drawn: list[dict[str, int]]) -> None:
    batch = Compositions.from_formulas(map(formula, drawn))
    assert ENCODER.encodable(batch).all()
    encoded = ENCODER.encode(batch)
    assert encoded.shape == (len(drawn), 85, 8)
    assert encoded.dtype == np.uint8
    for row, composition in zip(encoded, drawn, strict=True):
        cells = {(ALPHABET[i], j + 1) for i, j in zip(*np.nonzero(row), strict=True)}
        assert cells == set(composition.items())
        assert row.sum() == len(composition)
    decoded = ENCODER.decode(encoded)
    assert decoded.to_formulas() == batch.reduced().to_formulas()
    assert np.array_equal(decoded.fingerprints(), batch.reduced().fingerprints())


def test_every_element_with_every_count() -> None:
    cells = [(s, n) for s in ALPHABET for n in range(1, 9)]
    partner = {s: "O" if s != "O" else "F" for s in ALPHABET}
    batch = Compositions.from_formulas(f"{s}{n}{partner[s]}" for s, n in cells)
    encoded = ENCODER.encode(batch)
    for row, (symbol, n) in zip(encoded, cells, strict=True):
        assert row[ALPHABET.index(symbol), n - 1] == 1
    assert ENCODER.decode(encoded).to_formulas() == batch.to_formulas()


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float16, np.float32, np.float64])
def test_dtypes(dtype: type) -> None:
    batch = Compositions.from_formulas(["LiFePO4", "Fe2O3"])
    assert ENCODER.decode(ENCODER.encode(batch).astype(dtype)).to_formulas() == batch.to_formulas()


def test_no_rows() -> None:
    encoded = ENCODER.encode(Compositions.empty())
    assert encoded.shape == (0, 85, 8)
    assert len(ENCODER.decode(encoded)) == 0


# --- what cannot be encoded ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encodable"),
    [
        ("NaCl", True),
        ("Fe", False),
        ("Fe2O9", False),
        ("Fe8O7", True),
        ("KrF2", False),
        ("AmO2", False),
        ("PuO2", True),
        ("XeF6", True),
        ("LiBeBCNOFNa", True),
        ("LiBeBCNOFNaMg", False),
    ],
)
def test_encodable(text: str, encodable: bool) -> None:
    batch = Compositions.from_formulas(["MgO", text])
    assert ENCODER.encodable(batch).tolist() == [True, encodable]
    if not encodable:
        with pytest.raises(ValueError, match="first row 1"):
            ENCODER.encode(batch)


def test_elements_outside_the_alphabet() -> None:
    outside = [symbol for symbol in SYMBOLS[1:] if symbol not in ALPHABET]
    assert len(outside) == 118 - 85
    batch = Compositions.from_formulas(f"{symbol}O" for symbol in outside)
    assert not ENCODER.encodable(batch).any()


def test_an_empty_row_is_not_encodable() -> None:
    assert not ENCODER.encodable(Compositions.empty(1)).any()
    with pytest.raises(ValueError, match="1 rows"):
        ENCODER.encode(Compositions.empty(1))


# --- the rule of decoding --------------------------------------------------------------------


def test_a_cell_is_on_from_the_threshold_on() -> None:
    below = np.nextafter(np.float32(0.25), np.float32(0))
    sample = grid(("Na", 1, 1.0), ("Cl", 1, 0.25), ("O", 1, below))
    assert decode(sample, 0.25) == "NaCl"


def test_the_count_is_the_strongest_cell() -> None:
    sample = grid(("Fe", 1, 0.3), ("Fe", 2, 0.7), ("Fe", 8, 0.6), ("O", 3, 0.9), ("O", 1, 0.8))
    assert decode(sample) == "Fe2O3"


def test_of_equal_cells_the_lowest_count_wins() -> None:
    sample = grid(("Fe", 2, 0.7), ("Fe", 5, 0.7), ("O", 3, 0.9), ("O", 8, 0.9))
    assert decode(sample) == "Fe2O3"


def test_counts_are_reduced() -> None:
    assert decode(grid(("Fe", 4, 1), ("O", 6, 1))) == "Fe2O3"
    assert decode(grid(("Na", 8, 1), ("Cl", 8, 1))) == "NaCl"


@pytest.mark.parametrize("n", [0, 1, 2, 8, 9, 85])
def test_number_of_elements(n: int) -> None:
    text = decode(grid(*((symbol, 1, 1.0) for symbol in ALPHABET[:n])))
    composition, _ = Compositions.parse([text])
    assert composition.n_elements.tolist() == [n if 2 <= n <= 8 else 0]


@pytest.mark.parametrize("value", [math.nan, -math.inf, -1.0, 0.0, math.inf])
def test_uniform_garbage_is_an_empty_row(value: float) -> None:
    assert decode(np.full((1, 85, 8), value, np.float32)) == ""


def test_nan_in_one_sample_leaves_its_neighbours() -> None:
    samples = np.concatenate(
        [
            grid(("Na", 1, 1), ("Cl", 1, 1)),
            np.full((1, 85, 8), np.nan),
            grid(("Mg", 1, 1), ("O", 1, 1)),
        ]
    )
    assert ENCODER.decode(samples).to_formulas() == ["NaCl", "", "MgO"]


@given(arrays(np.float32, (2, 85, 8), elements=st.floats(0, 0.25, width=32), fill=st.just(0)))
def test_decode_as_defined(samples: np.ndarray) -> None:
    decoded = ENCODER.decode(samples)
    for sample, text in zip(samples, decoded.to_formulas(), strict=True):
        on = {i: int(sample[i].argmax()) + 1 for i in range(85) if sample[i].max() >= 0.2}
        if not 2 <= len(on) <= 8:
            assert text == ""
            continue
        divisor = math.gcd(*on.values())
        row = Compositions.from_formulas([text])
        got = dict(zip(row.numbers[0].tolist(), row.counts[0].tolist(), strict=True))
        assert got == {ATOMIC_NUMBER[ALPHABET[i]]: n // divisor for i, n in on.items()}


def test_rows_keep_their_places_in_threads() -> None:
    rng = np.random.default_rng(0)
    elements = rng.permuted(np.tile(np.arange(85), (3 * ROWS_PER_THREAD, 1)), axis=1)[:, :3]
    samples = np.zeros((len(elements), 85, 8), np.uint8)
    samples[np.arange(len(elements))[:, None], elements, 0] = 1
    expected = np.sort(np.array([ATOMIC_NUMBER[s] for s in ALPHABET])[elements], axis=1)
    assert np.array_equal(ENCODER.decode(samples).numbers[:, :3], expected)


@pytest.mark.parametrize("shape", [(3, 8, 85), (3, 85, 4), (85, 8), (3, 118, 8)])
def test_samples_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="85, 8"):
        ENCODER.decode(np.ones(shape, np.float32))


def test_samples_are_not_changed() -> None:
    samples = np.random.default_rng(0).random((3, 85, 8))
    before = samples.copy()
    ENCODER.decode(samples)
    assert np.array_equal(samples, before)


@pytest.mark.parametrize("threshold", [0, -1, math.nan])
def test_senseless_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ValidationError, match="threshold"):
        OneHotOptions(threshold=threshold)
