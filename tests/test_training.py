"""What every training shares: which compounds play which part, and what is set aside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Install
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from matgen_core import Compositions, Dataset, discover
from matgen_core.elements import SYMBOLS
from matgen_core.errors import InvalidOption
from matgen_core.metrics import regression
from matgen_core.training import MOST_REPEATED, PredictorJob, alike, prepare
from matgen_core.weights import Known

LEARNER = """
import numpy as np
from matgen_core import (
    Component, Compositions, Dataset, Options, Predictor, Source, Training, hookimpl
)

FORMULAS = ["NaCl", "KBr", "LiF", "HeO", "CsI", "NaBr", "KI"]

class Table(Source):
    def load(self):
        compositions = Compositions.from_formulas(FORMULAS)
        hardness = np.array([1, np.nan, 3, 4, 5, 6, 7.0])
        split = np.array([0, 0, 0, 0, 1, 3, 0], np.uint8)
        return Dataset("table", compositions, {"hardness": hardness}, split=split)

def inside(compositions):
    return ~compositions.contains(["He"])[:, 0]

class Recipe(Options):
    steps: int = 1

@hookimpl
def matgen_sources():
    yield Component("table", "learner:Table")

@hookimpl
def matgen_predictors():
    yield Component("learner", "learner:None", training=Training(
        "learner:train", Recipe, {"default": Recipe()}, target="hardness", domain="learner:inside"))
"""


@pytest.fixture
def job(install: Install, tmp_path: Path) -> PredictorJob:
    install("learner", LEARNER)
    prepared = prepare(discover(), "learner", data="table", out=tmp_path / "out", screen=["charge"])
    assert isinstance(prepared, PredictorJob)
    return prepared


def test_a_published_split_is_kept(job: PredictorJob) -> None:
    assert job.dataset.compositions.to_formulas() == ["NaCl", "LiF", "CsI", "NaBr", "KI"]
    assert job.role.tolist() == [0, 0, 1, 3, 0]
    assert job.target.tolist() == [1, 3, 5, 6, 7]
    assert job.rows(Known.TRAINED).tolist() == [0, 1, 4]
    data = job.data
    assert (data.n_clean, data.n_train, data.n_validation, data.n_held_out) == (5, 3, 1, 1)
    assert data.held_out_fraction is None
    assert data.held_out_seed is None


def test_what_cannot_be_learned_is_set_aside_with_its_reason(job: PredictorJob) -> None:
    aside = job.dataset.rejected
    assert aside is not None
    assert aside[["formula", "reason"]].to_numpy().tolist() == [
        ["KBr", "hardness is missing"],
        ["OHe", "learner cannot represent it"],
    ]
    assert [(step.dropped, step.left) for step in job.dataset.steps] == [(1, 6), (1, 5)]


def test_screened_compounds_are_in_no_part(install: Install, tmp_path: Path) -> None:
    install("learner", LEARNER.replace('"LiF"', '"LiF2"'))
    job = prepare(discover(), "learner", data="table", out=tmp_path / "out", screen=["charge"])
    assert job.role.tolist() == [Known.TRAINED, Known.UNUSED, 1, 3, 0]
    assert job.name == "learner-table-screened"


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=60))
def test_parts_do_not_overlap_and_hang_on_the_formula_alone(
    tmp_path_factory: pytest.TempPathFactory, counts: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("split")

    def roles(rows: list[tuple[int, int]]) -> dict[str, int]:
        table = pd.DataFrame({"formula": [f"K{n}Cl{m}" for n, m in rows], "formation_energy": -1})
        table.to_csv(folder / "my.csv", index=False)
        job = prepare(discover(), "elemnet", data=str(folder / "my.csv"), out=folder / "out")
        assert job.dataset.compositions.first_occurrence().all()
        return dict(zip(job.dataset.compositions.to_formulas(), job.role.tolist(), strict=True))

    fixed = [(1, 1), (1, 2), (2, 1), (7, 5), (8, 7)]  # so that some are trained on
    whole = roles(fixed + counts)
    assert whole == roles([(2 * n, 2 * m) for n, m in reversed(fixed + counts)])
    assert roles(fixed).items() <= whole.items()


def test_a_preset_is_chosen_where_there_is_no_default(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("formula\nNaCl\n")
    with pytest.raises(
        InvalidOption, match="no preset for csv: choose one of oqmd, mp, icsd, dense, novel"
    ):
        prepare(discover(), "wgan", data=str(tmp_path / "my.csv"), out=tmp_path / "out")


def test_without_moves_rows() -> None:
    salts = Compositions.from_formulas(["NaCl", "KBr", "LiF"])
    rejected = pd.DataFrame({"row": [9], "formula": ["?"], "reason": ["unreadable"]})
    dataset = Dataset("salts", salts, {"x": np.arange(3.0)}, rows=np.array([2, 4, 5]),
                      rejected=rejected)  # fmt: skip
    assert dataset.without(np.zeros(3, np.bool_), "never") is dataset
    left = dataset.without(np.array([False, True, False]), "too heavy")
    assert left.compositions.to_formulas() == ["NaCl", "LiF"]
    assert left.properties["x"].tolist() == [0, 2]
    assert left.rejected is not None
    assert left.rejected.to_numpy().tolist() == [[9, "?", "unreadable"], [4, "KBr", "too heavy"]]
    assert [vars(step) for step in left.steps] == [{"rule": "too heavy", "dropped": 1, "left": 2}]


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=2))
def test_regression_is_scikit_learns(pairs: list[tuple[float, float]]) -> None:
    predicted, actual = np.array(pairs).T
    measured = regression(predicted, actual)
    assert measured["n"] == len(pairs)
    assert measured["mae"] == pytest.approx(mean_absolute_error(actual, predicted))
    assert measured["rmse"] == pytest.approx(root_mean_squared_error(actual, predicted))
    if np.var(actual) > 1e-9:
        assert measured["r2"] == pytest.approx(r2_score(actual, predicted))


def shares(compositions: Compositions, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """In how many compositions each element is, and how many have as many elements, [119 + 9]."""
    chosen = compositions[rows]
    elements = np.bincount(chosen.numbers.ravel(), minlength=119)
    elements[0] = 0
    counts = np.concatenate([elements, np.bincount(chosen.n_elements, minlength=9)])
    return counts / len(rows)


def test_chosen_candidates_have_elements_and_their_numbers_as_known_compounds_have() -> None:
    """Known compounds drawn by a random preference are chosen back to what they were."""
    random = np.random.default_rng(0)
    many = random.choice(np.arange(3, 60), (20_000, 5))
    many[np.arange(5) >= random.choice([2, 3, 4, 5], (20_000, 1), p=[0.2, 0.5, 0.2, 0.1])] = 0
    batch = batch_of(many)
    liked = random.uniform(0.6, 1.6, 119)[batch.numbers]
    preference = np.where(batch.numbers > 0, liked, 1).prod(axis=1) * batch.n_elements**1.5
    candidates = batch[random.choice(20_000, 40_000, p=preference / preference.sum())]
    everything = np.arange(len(candidates))
    wanted = shares(batch, np.arange(len(batch)))
    assert np.abs(shares(candidates, everything) - wanted).max() > 0.1
    rows = alike(candidates, batch, 50_000, seed=1)
    assert rows.shape == (50_000,)
    np.testing.assert_allclose(shares(candidates, rows), wanted, atol=0.01)


batches = st.lists(
    st.sets(st.integers(1, 8), min_size=1, max_size=4).map(sorted), min_size=1, max_size=40
).map(lambda rows: batch_of(np.array([row + [0] * (4 - len(row)) for row in rows])))


def batch_of(numbers: NDArray[np.int64]) -> Compositions:
    """Compositions of one atom an element; an element twice in a row is there once."""
    formulas = ["".join(SYMBOLS[z] for z in sorted(set(row) - {0})) for row in numbers.tolist()]
    return Compositions.from_formulas(formulas)


@given(batches, batches, st.integers(0, 2**32))
def test_no_candidate_is_repeated_out_of_measure(
    candidates: Compositions, known: Compositions, seed: int
) -> None:
    rows = alike(candidates, known, 4000, seed)
    times = np.bincount(rows, minlength=len(candidates)) / (4000 / len(candidates))
    assert times.min() > 0
    assert times.max() < 1.5 * MOST_REPEATED
    np.testing.assert_array_equal(rows, alike(candidates, known, 4000, seed))
