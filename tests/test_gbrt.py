"""Trees: as scikit-learn predicts, safe to load, trained and used from the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from matgen_core import Compositions, Options, discover
from matgen_core.datasets import held_out
from matgen_core.elements import SYMBOLS
from matgen_core.errors import WeightsError
from matgen_core.weights import Known, WeightsDir, write_card
from matgen_gbrt import TreesRecipe, descriptors
from matgen_gbrt.forest import Forest
from matgen_gbrt.predictor import Gap, Metal
from matgen_gbrt.train import classification, classifier, regressor
from matgen_magpie import FEATURES, magpie

SHIPPED = {"gbrt-gap": "gbrt-gap-mp", "gap-class": "gap-class-mp"}
RECIPE = TreesRecipe(iterations=20, leaves=15)
UNKNOWN = ("HeNa2", "NeF", "ArF2", "AtK", "RnF2", "FrCl", "BkO2", "CfO2", "OgF")


def random_compositions(n, seed=0):
    """Formulas inside the domain, all of two, three or four elements as the seed has it."""
    rng = np.random.default_rng(seed)
    numbers = np.sort(
        np.argsort(rng.random((n, 83)), axis=1)[:, : rng.integers(2, 5)].astype(np.uint8) + 1
    )
    batch = Compositions(numbers, rng.integers(1, 9, numbers.shape).astype(np.uint16))
    return batch[descriptors.inside(batch)]


def learnable(n, seed=0):
    """Features float32 [n, 9], half of them coarse, and targets."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 9)).astype(np.float32)
    x[:, ::2] = np.round(x[:, ::2] * 4) / np.float32(10)
    return x, x[:, 0] + np.sin(3 * x[:, 1]) + x[:, 2] * x[:, 3]


@pytest.fixture(scope="module")
def fitted():
    x, y = learnable(2_000)
    return regressor(RECIPE, 0).fit(x, y)


@pytest.fixture
def tensors(fitted):
    return {name: array.copy() for name, array in Forest.from_sklearn([fitted]).tensors().items()}


# --- the same values as scikit-learn's ----------------------------------------------------------


def test_sums_are_those_of_the_regressor(fitted):
    x, _ = learnable(30_000, seed=1)  # enough for several threads
    expected = fitted.predict(x)
    np.testing.assert_allclose(Forest.from_sklearn([fitted]).sum(x), expected, rtol=0, atol=1e-5)


def test_sums_are_the_log_odds_of_the_classifier():
    x, y = learnable(2_000)
    model = classifier(RECIPE, 0).fit(x, y > 0)
    found = Metal.finish(Forest.from_sklearn([model]).sum(x))
    np.testing.assert_allclose(found, model.predict_proba(x)[:, 1], rtol=0, atol=1e-6)


def test_rows_on_a_threshold_go_left(fitted):
    """A threshold rounded to float32 must not move below a value that it equals."""
    forest = Forest.from_sklearn([fitted])
    inner = np.flatnonzero(forest.right)
    x = np.zeros((len(inner), 9), np.float32)
    x[np.arange(len(inner)), forest.feature[inner]] = forest.value[inner]
    above = np.nextafter(x, np.float32(np.inf))
    for rows in (x, above):
        np.testing.assert_allclose(forest.sum(rows), fitted.predict(rows), rtol=0, atol=1e-5)


def test_several_models_are_averaged():
    x, y = learnable(500)
    models = [regressor(RECIPE, seed).set_params(max_features=0.5).fit(x, y) for seed in (0, 1, 2)]
    expected = np.mean([model.predict(x) for model in models], axis=0)
    np.testing.assert_allclose(Forest.from_sklearn(models).sum(x), expected, rtol=0, atol=1e-5)
    assert np.ptp([model.predict(x[:1]) for model in models]) > 0


def test_a_constant_is_one_leaf_a_tree():
    x, _ = learnable(50)
    model = regressor(RECIPE, 0).fit(x, np.full(50, 3.25))
    np.testing.assert_allclose(Forest.from_sklearn([model]).sum(x), 3.25)


def test_growing_on_is_growing_at_once():
    """Training looks at the validation compounds in between."""
    x, y = learnable(500)
    grower = regressor(RECIPE, 0).set_params(warm_start=True)
    for trees in (5, 12, 20):
        grower.set_params(max_iter=trees).fit(x, y)
    np.testing.assert_array_equal(grower.predict(x), regressor(RECIPE, 0).fit(x, y).predict(x))


# --- safe to load -------------------------------------------------------------------------------


def spoil(tensors, name, where, value):
    tensors[name][where] = value


def at(tensors, leaf):
    """Index of the first leaf, or of the first inner node."""
    return int(np.flatnonzero((tensors["right"] == 0) == leaf)[0])


DAMAGE = {
    "right child beyond the file": lambda t: spoil(t, "right", at(t, False), 65_535),
    "right child in the next tree": lambda t: spoil(t, "right", 0, int(t["starts"][1])),
    "right child that is the left": lambda t: spoil(t, "right", at(t, False), 1),
    "last node without children": lambda t: spoil(t, "right", -1, 2),
    "leaf before the end of a tree": lambda t: spoil(t, "right", int(t["starts"][1]) - 1, 5),
    "a tree without nodes": lambda t: spoil(t, "starts", 1, 0),
    "trees beyond the nodes": lambda t: spoil(t, "starts", -1, len(t["right"]) + 1),
    "trees that do not begin": lambda t: spoil(t, "starts", 0, 1),
    "trees out of order": lambda t: spoil(t, "starts", 2, int(t["starts"][3]) + 1),
    "value that is no number": lambda t: spoil(t, "value", 3, np.nan),
    "endless value": lambda t: spoil(t, "value", 3, np.inf),
    "baseline that is no number": lambda t: spoil(t, "baseline", 0, np.nan),
    "no trees": lambda t: t.update(starts=t["starts"][:0]),
    "nodes too few": lambda t: t.update(feature=t["feature"][:-1]),
    "two baselines": lambda t: t.update(baseline=np.zeros(2)),
    "wider numbers": lambda t: t.update(right=t["right"].astype(np.int64)),
    "another shape": lambda t: t.update(value=t["value"][:, None]),
    "an array missing": lambda t: t.pop("feature"),
    "an array too many": lambda t: t.update(code=np.zeros(1)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_refused(tensors, damage):
    Forest.from_tensors(tensors)
    damage(tensors)
    with pytest.raises(ValueError, match=r"."):
        Forest.from_tensors(tensors)


def test_features_that_are_not_there_are_refused(tensors):
    tensors["feature"][at(tensors, False)] = 9
    forest = Forest.from_tensors(tensors)
    with pytest.raises(ValueError, match="9 features"):
        forest.sum(np.zeros((1, 9), np.float32))


@given(st.data())
@settings(max_examples=300)
def test_whatever_is_accepted_ends(data):
    """Any arrays at all: refused, or every walk stays within its tree and ends in a leaf."""
    n = data.draw(st.integers(1, 12))
    right = data.draw(st.lists(st.integers(0, 13), min_size=n, max_size=n))
    cuts = data.draw(st.lists(st.integers(0, n + 1), max_size=3))
    try:
        forest = Forest(
            baseline=np.zeros(1),
            starts=np.array([0, *cuts, n], np.uint32),
            feature=np.zeros(n, np.uint8),
            value=np.arange(n, dtype=np.float32),
            right=np.array(right, np.uint16),
        )
    except ValueError:
        return
    for start, end in zip(forest.starts[:-1], forest.starts[1:], strict=True):
        walks = [int(start)]
        while walks:
            node = walks.pop()
            assert start <= node < end
            if right[node]:
                walks += [node + 1, node + right[node]]
    assert np.isfinite(forest.sum(np.zeros((2, 1), np.float32))).all()


# --- descriptors ----------------------------------------------------------------------------------


def test_descriptors_begin_with_magpie():
    batch = random_compositions(200)
    found = descriptors.describe(batch)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.shape[1] <= 256  # a tree's node names one of them in a byte
    np.testing.assert_array_equal(found[:, : len(FEATURES)], magpie(batch).astype(np.float32))


def test_descriptors_of_a_salt():
    """Every block but Magpie's, by hand: Na+ Cl-, 28 electrons, half of the atoms each."""
    salt = Compositions.from_formulas(["NaCl"])
    shares = descriptors._shares(salt)[0]
    assert shares.sum() == 1
    assert sorted(shares)[-2:] == [0.5, 0.5]
    assert descriptors._electrons(salt).tolist() == [[28, 0]]
    # Offer less need and their ratio with the highest and the lowest charges, then the need.
    assert descriptors._balances(salt).tolist() == [[0, 1, 0, 1, 0.5] * 2]
    assert descriptors._verdicts(salt).all()
    odd = Compositions.from_formulas(["Na2Cl", "NaCl2", "FeO"])
    assert descriptors._electrons(odd)[:, 1].tolist() == [1, 1, 0]
    assert descriptors._balances(odd)[0, 0] == pytest.approx(1 / 3)
    assert descriptors._balances(odd)[1, 0] == pytest.approx(-1 / 3)
    need, most, least = 2, 6, 1  # SMACT's states of iron: -2, -1, 1, ..., 6
    by_hand = [(most - need) / 2, need / most, (least - need) / 2, need / least, need / 2]
    assert descriptors._balances(odd)[2].tolist() == pytest.approx(by_hand * 2)
    assert not descriptors._verdicts(odd)[:2, 1::2].any()  # by electronegativity


@given(
    st.dictionaries(st.integers(1, 83), st.integers(1, 50), min_size=1, max_size=6),
    st.integers(1, 900),
)
def test_a_multiple_has_the_same_descriptors(formula, factor):
    numbers = np.array([sorted(formula)], np.uint8)
    counts = np.array([[formula[z] for z in sorted(formula)]], np.uint16)
    one, many = Compositions(numbers, counts), Compositions(numbers, counts * np.uint16(factor))
    if descriptors.inside(one):
        np.testing.assert_array_equal(descriptors.describe(one), descriptors.describe(many))


def test_the_domain_is_what_magpie_knows_in_full():
    everything = Compositions.from_formulas(SYMBOLS[1:])
    outside = np.array(SYMBOLS[1:])[~descriptors.inside(everything)]
    assert outside.tolist() == ["He", "Ne", "Ar", "At", "Rn", "Fr", *SYMBOLS[97:]]
    assert not descriptors.inside(Compositions.empty(2)).any()
    assert not descriptors.inside(Compositions.from_formulas(UNKNOWN)).any()
    unknown = np.isnan(magpie(everything)).any(axis=1)
    np.testing.assert_array_equal(descriptors.inside(everything), ~unknown)


# --- the shipped weights --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped():
    registry = discover()
    return {name: registry.create("predictor", name) for name in SHIPPED}


def test_a_bare_name_means_the_shipped_weights(shipped):
    for name, weights in SHIPPED.items():
        assert shipped[name].weights.card.name == weights
        assert shipped[name].weights.card.component == name


def test_known_compounds(shipped):
    batch = Compositions.from_formulas(["NaCl", "MgO", "GaN", "Fe", "Al2Cu", "TiNi"])
    gaps = shipped["gbrt-gap"].predict(batch)
    metal = shipped["gap-class"].predict(batch)
    assert 4 < gaps[0] < 6.5  # 5.0 by PBE
    assert 2 < gaps[1] < 6  # 4.5; the lowest of its polymorphs counts
    assert 0.5 < gaps[2] < 3  # 1.7
    assert (metal[:3] < 0.5).all()
    assert (metal[3:] > 0.5).all()


@pytest.mark.parametrize("name", SHIPPED)
def test_predictions_are_in_range_and_nan_outside(shipped, name):
    inside = random_compositions(3_000)
    batch = Compositions.concatenate(
        [inside, Compositions.empty(2), Compositions.from_formulas(UNKNOWN)]
    )
    values = shipped[name].predict(batch)
    assert values.dtype == np.float64
    assert values.shape == (len(batch),)
    assert np.isnan(values[len(inside) :]).all()
    top = 1 if name == "gap-class" else 15
    assert ((values[: len(inside)] >= 0) & (values[: len(inside)] <= top)).all()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_row_does_not_depend_on_its_neighbours(shipped, name, monkeypatch):
    batch = random_compositions(500)
    values = shipped[name].predict(batch)
    assert shipped[name].predict(batch[:0]).shape == (0,)
    np.testing.assert_array_equal(shipped[name].predict(batch[7:8]), values[7:8])
    np.testing.assert_array_equal(shipped[name].predict(batch[::-1]), values[::-1])
    monkeypatch.setattr("matgen_gbrt.predictor.BATCH", 33)
    np.testing.assert_array_equal(shipped[name].predict(batch), values)
    tripled = Compositions(batch.numbers, batch.counts * np.uint16(3))
    np.testing.assert_array_equal(shipped[name].predict(tripled), values)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_held_out_compound_was_trained_on(shipped, name):
    """Neither of the test nor of the validation compounds, as any polymorph or multiple."""
    weights = shipped[name].weights
    card, known = weights.card, weights.known()
    assert len(np.unique(known.fingerprints)) == len(known.fingerprints)  # one row a formula
    n = np.bincount(known.role, minlength=4)
    assert card.data.n_train == n[Known.TRAINED] > 30_000
    assert card.data.n_validation == n[Known.VALIDATION] > 3_000
    assert card.data.n_held_out == n[Known.HELD_OUT] > 3_000
    # The role hangs on the reduced formula alone: what the rule holds out, whichever data set or
    # multiple it comes from, has no row among those trained on.
    batch = random_compositions(200_000, seed=3)
    kept = held_out(batch, card.data.held_out_fraction, card.data.held_out_seed)
    fives = Compositions(batch.numbers, batch.counts * np.uint16(5))
    np.testing.assert_array_equal(held_out(fives, card.data.held_out_fraction), kept)
    trained = known.fingerprints[known.role == Known.TRAINED]
    found = np.isin(batch.reduced().fingerprints(), trained)
    assert found.any()
    assert not (found & kept).any()


def test_using_trees_does_not_import_what_grew_them():
    code = (
        "import sys; from matgen_core import Compositions, discover\n"
        "gap = discover().create('predictor', 'gbrt-gap')\n"
        "gap.predict(Compositions.from_formulas(['NaCl']))\n"
        "assert not {'smact', 'sklearn', 'torch', 'joblib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_files_are_small(shipped):
    folders = [predictor.weights.path for predictor in shipped.values()]
    assert sum(file.stat().st_size for folder in folders for file in folder.iterdir()) < 20e6


# --- damaged weights ------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "copied"
    shutil.copytree(discover().weights("gbrt-gap-mp").path, folder)
    return folder


def rewrite(folder, tensors):
    """Replace the tensors, card and checksum included: what a forger would do."""
    from matgen_core.weights import sha256_of

    (folder / WeightsDir.TENSORS).write_bytes(save(tensors))
    card = WeightsDir(folder).card
    digest = {**card.sha256, WeightsDir.TENSORS: sha256_of(folder / WeightsDir.TENSORS)}
    write_card(folder, card.model_copy(update={"sha256": digest}))


def test_a_changed_file_is_refused(copied):
    path = copied / WeightsDir.TENSORS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="sha256"):
        Gap(Options(), weights=WeightsDir(copied))


def test_a_forged_file_is_refused(copied):
    tensors = load_file(copied / WeightsDir.TENSORS)
    rewrite(copied, tensors)
    Gap(Options(), weights=WeightsDir(copied))
    tensors["right"][0] = 60_000
    rewrite(copied, tensors)
    with pytest.raises(WeightsError, match=r"holds no trees: .*outside its tree"):
        Gap(Options(), weights=WeightsDir(copied))


def test_features_beyond_the_descriptors_are_refused(copied):
    tensors = load_file(copied / WeightsDir.TENSORS)
    tensors["feature"][0] = 255
    rewrite(copied, tensors)
    with pytest.raises(WeightsError, match="holds no trees"):
        Gap(Options(), weights=WeightsDir(copied))


def test_no_safetensors_is_refused(copied):
    from matgen_core.weights import sha256_of

    path = copied / WeightsDir.TENSORS
    path.write_bytes(b"\x80\x04N.")
    card = WeightsDir(copied).card
    digest = {**card.sha256, WeightsDir.TENSORS: sha256_of(path)}
    write_card(copied, card.model_copy(update={"sha256": digest}))
    with pytest.raises(WeightsError, match="holds no trees"):
        Gap(Options(), weights=WeightsDir(copied))


def test_other_data_on_the_elements_are_refused(copied, monkeypatch):
    monkeypatch.setattr(descriptors, "identity", lambda: "another")
    with pytest.raises(WeightsError, match=r"other data on the elements.*SMACT==4\.0\.2"):
        Gap(Options(), weights=WeightsDir(copied))


def test_weights_are_needed():
    with pytest.raises(WeightsError, match="needs weights"):
        Gap(Options())


# --- training from the command line ---------------------------------------------------------------


@pytest.fixture
def csv(tmp_path):
    """Compounds whose gap follows their composition, some without one, one of them twice."""
    batch = random_compositions(600)
    light = batch.numbers[:, 0].astype(float)
    gap = np.where(light < 20, 20 - light, 0) / 4
    formulas = batch.to_formulas()
    table = pd.DataFrame({"formula": formulas, "band_gap": gap})
    twice = pd.DataFrame({"formula": [_doubled(batch[:1])], "band_gap": [gap[0] + 7]})
    path = tmp_path / "my.csv"
    pd.concat([table, twice, pd.DataFrame({"formula": ["HeNa2"], "band_gap": [1.0]})]).to_csv(
        path, index=False
    )
    return path


def _doubled(compositions):
    return Compositions(compositions.numbers, compositions.counts * np.uint16(2)).to_formulas()[0]


FAST = ("iterations=30", "leaves=15", "interval=10")


def fast(component):
    return [word for setting in FAST for word in ("--set", f"{component}.{setting}")]


@pytest.mark.parametrize("component", SHIPPED)
def test_train_then_screen(cli, csv, tmp_path, component):
    out = tmp_path / "mine"
    answer = cli("train", component, "--data", csv, "--out", out, *fast(component))
    assert answer.code == 0, answer.err
    assert "30 trees" in answer.err
    card = WeightsDir(out).card
    assert card.component == component
    assert card.training["iterations"] == 30
    assert card.model["trees"] in (10, 20, 30)
    known = WeightsDir(out).known()
    n = np.bincount(known.role, minlength=4)
    assert (card.data.n_train, card.data.n_validation, card.data.n_held_out) == (
        n[Known.TRAINED],
        n[Known.VALIDATION],
        n[Known.HELD_OUT],
    )
    assert (n[Known.UNUSED] > 0) == (component == "gbrt-gap")  # metals
    if component == "gbrt-gap":
        assert card.metrics["r2"] > 0.8
    else:
        assert card.metrics["roc_auc"] > 0.95
    assert "Na2He" in (out / "rejected.csv").read_text()

    Path("asked.csv").write_text("formula\nNaCl\nK2S\nHe\n")
    answer = cli("screen", "asked.csv", "--predictors", out)
    assert answer.code == 0, answer.err
    column = {"gbrt-gap": "band_gap", "gap-class": "metal"}[component]
    values = pd.read_csv("asked.screened.csv")[column]
    predictor = discover().create("predictor", str(out))
    expected = predictor.predict(Compositions.from_formulas(["NaCl", "K2S", "He"]))
    assert np.isnan(expected).tolist() == [False, False, True]
    np.testing.assert_allclose(values, expected, rtol=5e-6)  # a table holds six digits


def test_training_repeats_to_the_byte(cli, csv, tmp_path):
    for name in ("one", "two"):
        cli("train", "gbrt-gap", "--data", csv, "--out", tmp_path / name, *fast("gbrt-gap"))
    one, two = (WeightsDir(tmp_path / name).card.sha256 for name in ("one", "two"))
    assert one == two


def test_weights_are_not_overwritten_unasked(cli, csv, tmp_path):
    command = ("train", "gbrt-gap", "--data", csv, "--out", tmp_path / "w", *fast("gbrt-gap"))
    assert cli(*command).code == 0
    answer = cli(*command)
    assert answer.code == 2
    assert "--resume" in answer.err
    assert cli(*command, "--resume").code == 0


@pytest.mark.parametrize(
    ("component", "gap", "message"),
    [
        ("gbrt-gap", 0.0, "no compound to train on has a band gap"),
        ("gap-class", 0.0, "with a band gap and"),
        ("gap-class", 1.0, "with a band gap and"),
    ],
)
def test_data_that_teach_nothing(cli, tmp_path, component, gap, message):
    formulas = random_compositions(60).to_formulas()
    path = tmp_path / "dull.csv"
    pd.DataFrame({"formula": formulas, "band_gap": gap}).to_csv(path, index=False)
    answer = cli("train", component, "--data", path, "--out", tmp_path / "w")
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "w" / "card.toml").exists()


def test_few_rows_are_enough(cli, tmp_path):
    """Without a validation or a held-out compound there are no figures, but there are trees."""
    batch = random_compositions(200)
    alone = batch[~held_out(batch, seed=0) & ~held_out(batch, seed=1)][:12]
    path = tmp_path / "few.csv"
    pd.DataFrame({"formula": alone.to_formulas(), "band_gap": np.arange(12) + 1.0}).to_csv(
        path, index=False
    )
    answer = cli("train", "gbrt-gap", "--data", path, "--out", tmp_path / "w", *fast("gbrt-gap"))
    assert answer.code == 0, answer.err
    card = WeightsDir(tmp_path / "w").card
    assert card.metrics == {}
    assert card.model["trees"] == 30


def test_classification_by_hand():
    probability, metal = np.array([0.9, 0.2, 0.6, 0.4]), np.array([1.0, 0.0, 0.0, 0.0])
    found = classification(probability, metal)
    assert found["n"] == 4
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["roc_auc"] == 1
    expected = -np.log([0.9, 0.8, 0.4, 0.6]).mean()
    assert found["log_loss"] == pytest.approx(expected)
    assert set(classification(probability, np.ones(4))) == {"n", "accuracy", "log_loss"}
