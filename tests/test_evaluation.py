"""Measures of samples: cases computed by hand, and properties that hold for any samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest
from sklearn.neighbors import NearestNeighbors

from matgen_core import Compositions, Predictor, Validator, asking, discover, evaluation
from matgen_core.datasets import Dataset, held_out
from matgen_core.errors import DataError, InvalidOption
from matgen_core.evaluation import (
    Evaluation,
    Histograms,
    Reference,
    evaluate,
    jensen_shannon,
    known_source,
    neighbours,
    random_formulas,
    wilson,
)
from matgen_core.interfaces import Options
from matgen_core.weights import Known

CATIONS, ANIONS = "Li Na K Rb Cs Mg Ca Sr Ba".split(), "F Cl Br I O S".split()


class Halide(Validator):
    def check(self, compositions: Compositions) -> np.ndarray:
        return compositions.contains(["F", "Cl", "Br", "I"]).any(axis=1)


class Nothing(Validator):
    def check(self, compositions: Compositions) -> np.ndarray:
        return np.zeros(len(compositions), np.bool_)


class Atoms(Predictor):
    property, unit = "atoms", "1"

    def predict(self, compositions: Compositions) -> np.ndarray:
        return compositions.counts.sum(axis=1) - 3.0


HALIDE, NOTHING, ATOMS = Halide(Options()), Nothing(Options()), Atoms(Options())


def batch(*formulas: str) -> Compositions:
    """Reduced; a formula that cannot be read is a sample that did not decode."""
    return Compositions.parse(formulas)[0].reduced()


def reference(formulas: list[str], held_out: list[str]) -> Reference:
    role = [Known.TRAINED] * len(formulas) + [Known.HELD_OUT] * len(held_out)
    return Reference("salts", batch(*formulas, *held_out), np.array(role, np.uint8))


@pytest.fixture(scope="module")
def salts() -> Reference:
    """54 AB salts, every tenth of them held out."""
    formulas = [f"{c}{a}" for c in CATIONS for a in ANIONS]
    kept = formulas[::10]
    return reference([f for f in formulas if f not in kept], kept)


# --- by hand ---------------------------------------------------------------------------------


def test_by_hand() -> None:
    """Eight samples: two of a trained compound, one held out, new ones, and one nothing."""
    known = reference(["NaCl", "KBr", "MgO", "CaF2", "RbI", "CsI", "LiF"], ["KCl"])
    samples = ["NaCl", "Na2Cl2", "KCl", "NaBr", "NaBr", "CaO", "", "Na2KCl3"]
    result = evaluate("x", [batch(*samples)], known, {"halide": HALIDE})
    assert result.samples == 8
    assert result.shares == {
        "decodable": 7 / 8,
        "halide": 6 / 8,
        "valid": 6 / 8,
        "unique": 5 / 8,  # NaCl, KCl, NaBr, CaO, Na2KCl3
        "novel": 4 / 8,  # twice NaBr, CaO, Na2KCl3
        "yield": 2 / 8,  # NaBr, Na2KCl3
    }
    assert result.curves == {"samples": [8], "unique": [5 / 8], "novel": [4 / 8]}
    binaries = result.recovered["trained"]["2"]
    assert (binaries["compounds"], binaries["found"], binaries["drawn"]) == (7, 1, 6)
    assert result.recovered["held_out"]["2"]["found"] == 1
    assert result.recovered["held_out"]["3"] == {
        "compounds": 0, "drawn": 1, "found": 0, "uniform": 0, "valid": 0
    }  # fmt: skip
    assert result.elements["Na"] == {"generated": 5 / 7, "trained": 1 / 7}
    assert result.elements["F"] == {"generated": 0, "trained": 2 / 7}
    assert "Fe" not in result.elements


def test_histograms_by_hand() -> None:
    histograms = Histograms()
    histograms.add(batch("Na2O", "NaCl", "NaCl", "Li2FeO3"))
    assert histograms.elements[[3, 8, 11, 17, 26]].tolist() == [1, 2, 3, 2, 1]
    assert histograms.pairs[11, 17] == 2
    assert histograms.pairs[8, 11] == histograms.pairs[3, 8] == histograms.pairs[3, 26] == 1
    assert histograms.pairs.sum() == 6
    assert histograms.n_elements[2:4].tolist() == [3, 1]
    assert histograms.counts[1:4].tolist() == [1 + 4 + 1, 2, 1]


def test_predictions_of_all_and_of_lithium(salts: Reference) -> None:
    samples = batch("LiF", "Li2O", "LiNaO", "KCl", "Na3N", "KCl", "")
    result = evaluate("x", [samples], salts, {}, predictors={"atoms": ATOMS})
    predicted = result.predicted["atoms"]
    assert predicted["unit"] == "1"
    assert predicted["all"]["n"] == 5  # different ones
    assert predicted["all"]["below_zero"] == 2 / 5
    assert predicted["lithium"]["n"] == 3
    assert predicted["lithium"]["below_zero"] == 1 / 3
    assert predicted["lithium"]["quantiles"]["50"] == 0
    assert sum(predicted["all"]["histogram"]["counts"]) == 5


def test_curves_have_points_at_round_numbers(salts: Reference) -> None:
    many = [batch(*["NaCl"] * 700), batch(*["NaBr"] * 700), batch(*["CaBr2"] * 1700)]
    result = evaluate("x", many, salts, {})
    assert result.curves["samples"] == [1000, 2000, 3100]
    assert result.curves["unique"] == [2 / 1000, 3 / 2000, 3 / 3100]
    assert result.curves["novel"] == [0, 600 / 2000, 1700 / 3100]


def test_the_split_of_the_training_is_used_where_it_fits(toy: Path, tmp_path: Path) -> None:
    """The toy weights know NaCl (trained on) and Fe2O3 (held out), and nothing else."""
    registry, weights = discover(), discover().weights("tape-salts")

    def roles(*formulas: str) -> dict[str, int]:
        path = tmp_path / "known.csv"
        path.write_text("\n".join(["formula", *formulas]))
        known = Reference.of(registry, "csv", weights, {"path": path})
        return dict(zip(known.compositions.to_formulas(), known.role.tolist(), strict=True))

    assert roles("NaCl", "Fe4O6") == {"NaCl": Known.TRAINED, "Fe2O3": Known.HELD_OUT}
    other = roles("NaCl", "Fe2O3", "KBr")
    kept = held_out(batch("NaCl", "Fe2O3", "KBr"))
    assert list(other.values()) == kept.astype(int).tolist()


def test_weights_without_an_index_are_judged_by_the_split_of_the_data(
    toy: Path, tmp_path: Path
) -> None:
    weights = discover().weights("tape-salts")
    weights.card = weights.card.model_copy(update={"sha256": {}})
    (tmp_path / "known.csv").write_text("formula\nNaCl\nFe2O3\nKBr\n")
    known = Reference.of(discover(), "csv", weights, {"path": tmp_path / "known.csv"})
    assert known.role.tolist() == held_out(known.compositions).astype(int).tolist()


def test_a_published_split_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = np.array([Known.HELD_OUT, Known.TRAINED, Known.VALIDATION], np.uint8)
    dataset = Dataset("x", batch("NaCl", "Fe2O3", "KBr"), split=published)
    monkeypatch.setattr(asking, "dataset", lambda source: dataset)
    role = Reference.of(discover(), "oqmd-energy").role
    np.testing.assert_array_equal(role, published)


def test_weights_that_learned_from_a_file(toy: Path) -> None:
    weights = discover().weights("tape-salts")
    data = weights.card.data.model_copy(update={"source": "csv"})
    weights.card = weights.card.model_copy(update={"data": data})
    with pytest.raises(InvalidOption, match=r"x learned from a CSV file: .*--against FILE\.csv"):
        known_source("x", weights, None)
    assert known_source("x", weights, "my.csv") == ("csv", {"path": "my.csv"})


# --- against others' code --------------------------------------------------------------------

counts = st.lists(st.integers(0, 9), min_size=4, max_size=4)


@given(counts, counts)
def test_jensen_shannon_is_scipys(p: list[int], q: list[int]) -> None:
    ours = jensen_shannon(np.array(p), np.array(q))
    assert ours == jensen_shannon(np.array(q), np.array(p))
    if any(p) and any(q):
        assert ours == pytest.approx(float(jensenshannon(p, q, base=2)), abs=1e-7)
    else:
        assert ours == (any(p) != any(q))


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_is_scipys(successes: int, failures: int) -> None:
    n = successes + failures
    low, high = wilson(successes, n)
    if not n:
        assert (low, high) == (0, 1)
        return
    theirs = binomtest(successes, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_neighbours_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    known, mine = (
        random_formulas(rng.integers(2, 5, n), np.array([3, 8, 9, 11, 17, 26]), rng)
        for n in (200, 150)
    )
    known = known[known.first_occurrence()]
    fractions = evaluation.fractions
    tree = NearestNeighbors(n_neighbors=evaluation.NEIGHBOURS + 1).fit(fractions(known))
    radius = tree.kneighbors()[0][:, evaluation.NEIGHBOURS - 1]  # itself left out
    distances = np.linalg.norm(fractions(mine)[:, None] - fractions(known)[None], axis=2)
    inside = distances <= radius + 1e-5
    expected = inside.any(axis=1).mean(), inside.any(axis=0).mean()
    assert neighbours(mine, known) == pytest.approx(expected, abs=0.01)
    assert 0.05 < expected[1] < 1


# --- properties ------------------------------------------------------------------------------

MEASURES = ("shares", "recovered", "distances", "neighbours", "elements", "predicted")


def measures(result: Evaluation) -> dict[str, object]:
    return {name: getattr(result, name) for name in MEASURES}


def test_the_training_set_against_itself(salts: Reference) -> None:
    trained = salts.of_role(Known.TRAINED)
    result = evaluate("x", [trained], salts, {})
    assert result.shares["novel"] == 0
    assert result.shares["unique"] == 1
    row = result.recovered["trained"]["2"]
    assert row["found"] == row["compounds"] == len(trained)
    assert result.recovered["held_out"]["2"]["found"] == 0
    assert result.distances == dict.fromkeys(("elements", "pairs", "n_elements", "counts"), 0)
    assert result.neighbours["precision"] == 1
    assert result.neighbours["coverage"] == 1


def test_shuffling_and_cutting_change_nothing(salts: Reference) -> None:
    rng = np.random.default_rng(1)
    drawn = random_formulas(rng.integers(2, 4, 500), np.array([3, 8, 9, 11, 17, 19]), rng)
    order = rng.permutation(len(drawn))
    cut = [drawn[order][:7], drawn[order][7:7], drawn[order][7:300], drawn[order][300:]]
    both = {"halide": HALIDE}
    once = evaluate("x", [drawn], salts, both, predictors={"atoms": ATOMS})
    again = evaluate("x", cut, salts, both, predictors={"atoms": ATOMS})
    assert measures(once) == measures(again)


def test_doubling_every_sample_halves_uniqueness(salts: Reference) -> None:
    rng = np.random.default_rng(2)
    drawn = random_formulas(np.full(300, 3), np.array([3, 8, 9, 11, 17, 19]), rng)
    once = evaluate("x", [drawn], salts, {"halide": HALIDE})
    twice = evaluate("x", [drawn, drawn], salts, {"halide": HALIDE})
    for name, share in once.shares.items():
        factor = 0.5 if name in ("unique", "yield") else 1
        assert twice.shares[name] == pytest.approx(factor * share), name
    assert twice.distances == pytest.approx(once.distances)
    assert twice.neighbours == once.neighbours


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(["NaCl", "Na2Cl2", "KBr", "CaO", "LiNaO", "Fe", "", "?"]), min_size=1)
)
def test_shares_are_shares(formulas: list[str]) -> None:
    known = reference(["NaCl", "MgO"], ["KBr"])
    result = evaluate("x", [batch(*formulas)], known, {"halide": HALIDE, "no": NOTHING})
    shares = result.shares
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares["yield"] <= min(shares["valid"], shares["unique"], shares["novel"])
    assert max(shares["valid"], shares["unique"], shares["novel"]) <= shares["decodable"]
    assert all(0 <= distance <= 1 for distance in result.distances.values())
    assert json.loads(json.dumps(result.to_dict()))["schema"] == evaluation.SCHEMA


@given(st.lists(st.integers(1, 8), min_size=1, max_size=50), st.integers(0, 2**32))
def test_random_formulas(sizes: list[int], seed: int) -> None:
    elements = np.array([1, 3, 8, 11, 17, 26, 55, 56, 94], np.uint8)
    drawn = random_formulas(np.array(sizes), elements, np.random.default_rng(seed))
    assert drawn.n_elements.tolist() == sizes
    assert set(drawn.numbers[drawn.numbers > 0].tolist()) <= set(elements.tolist())
    assert drawn.counts.max() <= 8
    np.testing.assert_array_equal(drawn.counts, drawn.reduced().counts)


def test_random_formulas_are_uniform() -> None:
    drawn = random_formulas(np.full(30_000, 2), np.array([1, 3, 8]), np.random.default_rng(0))
    held = drawn.contains(["H", "Li", "O"]).mean(axis=0)
    assert held == pytest.approx([2 / 3] * 3, abs=0.015)
    assert (drawn.counts[:, :2].max(axis=1) == 1).mean() == pytest.approx(8 / 64, abs=0.01)


def test_random_formulas_find_what_they_must(salts: Reference) -> None:
    """The baselines count what as many random formulas hit: here, all there is, or nearly."""
    rng = np.random.default_rng(3)
    many = random_formulas(np.full(60_000, 2), np.array([3, 8, 9, 11, 17, 19]), rng)
    found = evaluate("x", [many], salts, {"halide": HALIDE}).recovered["trained"]["2"]
    assert found["uniform"] > 0.9 * found["compounds"]
    assert found["uniform"] <= found["compounds"]
    halides = sum(
        1 for f in salts.of_role(Known.TRAINED).to_formulas() if "O" not in f and "S" not in f
    )
    assert found["valid"] <= halides + 6  # the valid ones hit only what is valid; S of Cs, Sr
    nobody = evaluate("x", [many], salts, {"no": NOTHING}).recovered["trained"]["2"]
    assert nobody["valid"] == 0


# --- what is too little ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "samples",
    [[""] * 9, ["NaCl"], ["NaCl"] * 5, ["Fe", "U"], ["HeAr"], ["Li2" + "O" * 0 + "O"]],
    ids=["nothing decodes", "one", "all the same", "elements", "unknown elements", "lithium"],
)
@pytest.mark.parametrize("validator", [HALIDE, NOTHING])
def test_little_is_no_error(salts: Reference, samples: list[str], validator: Validator) -> None:
    result = evaluate("x", [batch(*samples)], salts, {"v": validator}, predictors={"atoms": ATOMS})
    content = json.dumps(result.to_dict())
    assert "NaN" not in content
    assert "Infinity" not in content


def test_no_samples_at_all(salts: Reference) -> None:
    empty: Callable[[], Compositions] = Compositions.empty
    for batches in ([], [empty()]):
        with pytest.raises(DataError, match="x holds no samples"):
            evaluate("x", batches, salts, {})
