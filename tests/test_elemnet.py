"""ElemNet: the published layers, its input, and a training on anybody's table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Cli
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition
from safetensors.numpy import load_file, save_file
from torch import nn

from matgen_core import Compositions, Dataset, discover
from matgen_core.errors import DataError, InvalidOption, WeightsError
from matgen_core.training import PredictorJob, prepare
from matgen_core.weights import Known, WeightsDir
from matgen_elemnet import PRESETS, WEIGHTS, model
from matgen_networks import checkpoint

ENERGY = "formation_energy"
ANIONS = {"F": -2.0, "Cl": -1.5, "Br": -1.0, "O": -2.5, "S": -1.2, "N": 0.1}
CATIONS = "Li Na K Rb Cs Mg Ca Sr Ba Zn Al Ga Ti V Fe".split()
SHIPPED = sorted(path.parent.name for path in WEIGHTS.glob("*/card.toml"))


# --- layers and input ------------------------------------------------------------------------


def test_layers_are_the_published_ones() -> None:
    linears = [layer for layer in model.Network() if isinstance(layer, nn.Linear)]
    widths = [1024] * 4 + [512] * 3 + [256] * 3 + [128] * 3 + [64] * 2 + [32, 1]
    assert [layer.in_features for layer in linears] == [86, *widths[:-1]]
    assert [layer.out_features for layer in linears] == widths
    assert sum(p.numel() for p in model.Network().parameters()) == 4_631_361


def test_dropout_stands_after_the_first_four_blocks() -> None:
    layers = list(model.Network())
    places = [i for i, layer in enumerate(layers) if isinstance(layer, model.Dropout)]
    assert [layers[i - 2].out_features for i in places] == [1024, 512, 256, 128]
    assert all(isinstance(layers[i - 1], nn.ReLU) for i in places)
    assert PRESETS["published"].dropout == (0.2, 0.1, 0.3, 0.2)
    assert isinstance(layers[-1], nn.Linear)  # no ReLU: the last layer's value may be negative


def test_dropout_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropout, x = model.Dropout(), torch.full((100_000,), 3.0)
    dropout.share.fill_(0.25)
    assert (dropout.eval()(x) == x).all()
    dropped = dropout.train()(x)
    assert dropped.unique().tolist() == [0, 4]
    assert dropped.mean().item() == pytest.approx(3, abs=0.05)


def test_elements_are_those_of_oqmd() -> None:
    assert len(model.ELEMENTS) == 86
    assert "Kr" in model.ELEMENTS
    assert not {"He", "Ne", "Ar", "Po", "At", "Rn", "Fr", "Ra", "Am"} & set(model.ELEMENTS)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(model.ELEMENTS), st.integers(1, 200), min_size=1, max_size=9
        ),
        min_size=1,
        max_size=20,
    )
)
def test_fractions_are_pymatgens(batch: list[dict[str, int]]) -> None:
    formulas = ["".join(f"{s}{n}" for s, n in counts.items()) for counts in batch]
    compositions = Compositions.from_formulas(formulas)
    assert model.inside(compositions).all()
    ours = model.fractions(compositions).numpy()
    theirs = [
        [Composition(formula).get_atomic_fraction(symbol) for symbol in model.ELEMENTS]
        for formula in formulas
    ]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_inside() -> None:
    compositions, _ = Compositions.parse(["NaCl", "KrF2", "XeF2", "HeF", "NaAm", "?", "PuO2"])
    assert model.inside(compositions).tolist() == [True, True, True, False, False, False, True]


# --- training --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Salts whose energy hangs on the anion and its share."""
    rows = [
        (f"{cation}{n}{anion}{m}", energy * m / (n + m))
        for cation in CATIONS
        for anion, energy in ANIONS.items()
        for n in (1, 2, 3)
        for m in (1, 2, 3)
    ]
    path = tmp_path_factory.mktemp("data") / "salts.csv"
    pd.DataFrame(rows, columns=["formula", "formation_energy"]).to_csv(path, index=False)
    return path


def tiny_job(table: Path, out: Path, epochs: float = 2, **settings: object) -> PredictorJob:
    recipe = {"epochs": epochs, "batch_size": 64, "interval": 5} | settings.pop("recipe", {})
    job = prepare(
        discover(),
        "elemnet",
        data=str(table),
        out=out,
        options={"elemnet": recipe},
        device="cpu",
        **settings,
    )
    assert isinstance(job, PredictorJob)
    return job


def test_it_learns(table: Path, tmp_path: Path) -> None:
    """On compounds it was not shown it is far better than their mean."""
    job = tiny_job(table, tmp_path, epochs=40, recipe={"averaging": 0.9, "interval": 50})
    job.run()
    card = WeightsDir(tmp_path).card
    held_out = job.target[job.rows(Known.HELD_OUT)]
    assert card.metrics["n"] == len(held_out)
    assert card.metrics["mae"] < 0.5 * np.abs(held_out - held_out.mean()).mean()

    # What the card says of the held-out compounds is what the loaded weights say.
    predictor = discover().create("predictor", str(tmp_path), device="cpu")
    values = predictor.predict(job.dataset.compositions[job.rows(Known.HELD_OUT)])
    assert np.abs(values - held_out).mean() == pytest.approx(card.metrics["mae"], abs=1e-5)
    assert predictor.predict(Compositions.empty()).shape == (0,)
    unknown, _ = Compositions.parse(["HeF", "NaCl", "?"])
    assert np.isnan(predictor.predict(unknown)).tolist() == [True, False, True]


def test_a_multiple_has_the_same_energy(table: Path, tmp_path: Path) -> None:
    tiny_job(table, tmp_path).run()
    predictor = discover().create("predictor", str(tmp_path), device="cpu")
    once, thrice = predictor.predict(Compositions.from_formulas(["Na2O", "Na6O3"]))
    assert once == pytest.approx(thrice, abs=1e-6)


def test_batches_of_any_size_give_the_same_values(table: Path, tmp_path: Path) -> None:
    tiny_job(table, tmp_path).run()
    compositions = Compositions.from_formulas([f"Na{i}Cl" for i in range(1, 24)])
    one, seven = (
        discover().create("predictor", str(tmp_path), {"batch_size": n}, device="cpu")
        for n in (1000, 7)
    )
    np.testing.assert_allclose(one.predict(compositions), seven.predict(compositions), atol=1e-5)


def test_resumed_training_is_the_uninterrupted_one(table: Path, tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    constant = {"decay": 0.0, "interval": 3}
    tiny_job(table, whole, epochs=2, recipe=constant).run()
    tiny_job(table, halves, epochs=1, recipe=constant).run()
    with pytest.raises(InvalidOption, match="--resume"):
        tiny_job(table, halves, epochs=2, recipe=constant).run()
    tiny_job(table, halves, epochs=2, recipe=constant, resume=True).run()
    for file in (checkpoint.FILE, WeightsDir.TENSORS):
        ours, theirs = load_file(whole / file), load_file(halves / file)
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_validation_chooses_and_held_out_reports(table: Path, tmp_path: Path) -> None:
    """Held-out energies may be anything: nothing that is trained or chosen hangs on them."""
    job = tiny_job(table, tmp_path / "one")
    job.run()
    nonsense = np.where(job.role == Known.HELD_OUT, 100.0, job.target)
    replace(job, target=nonsense, out=tmp_path / "other").run()
    one, other = (load_file(tmp_path / out / WeightsDir.TENSORS) for out in ("one", "other"))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    card = WeightsDir(tmp_path / "other").card
    assert card.metrics["mae"] > 90
    lines = (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()
    curve = [json.loads(line)["validation_mae"] for line in lines]
    assert card.metrics["validation_mae"] == pytest.approx(min(curve), abs=1e-3)  # stored in half


# --- anybody's table -------------------------------------------------------------------------


def test_training_from_the_command_line(cli: Cli, tmp_path: Path) -> None:
    salts = [f"{c}{n}{a}" for c in CATIONS for a in ANIONS for n in (1, 2)]
    rows = [f"{salt},{i / 100 - 2}" for i, salt in enumerate(salts)]
    bad = ["Xy2O,-1", "HeO,-1", "NaO,much", ",-3", "NaF2,", "LiF,-9", "Li3F3,-8.5"]
    (tmp_path / "my.csv").write_text("\n".join(["formula,formation_energy", *rows, *bad]) + "\n")
    answer = cli("train", "elemnet", "--data", "my.csv", "--out", "net", "--set",
                 "elemnet.epochs=1", "--device", "cpu")  # fmt: skip
    assert answer.code == 0, answer.err
    assert "elemnet-my: 180 compounds;" in answer.out
    assert "2 dropped: same reduced formula, formation_energy not the lowest" in answer.err
    assert "5 rows set aside: see net/rejected.csv" in answer.err
    aside = pd.read_csv(tmp_path / "net" / "rejected.csv", keep_default_na=False)
    first = len(rows) + 2  # the first bad line; line 1 is the header
    assert aside.set_index("row")["reason"].to_dict() == {
        first: "'Xy2O': no element 'Xy'",
        first + 1: "elemnet cannot represent it",
        first + 2: "formation_energy: 'much' is no number",
        first + 3: "empty formula",
        first + 4: "formation_energy is missing",
    }
    card = WeightsDir(tmp_path / "net").card
    assert card.name == "elemnet-my"
    assert card.data.n_train + card.data.n_validation + card.data.n_held_out == 180
    assert min(card.data.n_validation, card.data.n_held_out) > 0

    (tmp_path / "new.txt").write_text("NaCl\nFe2O3\nHeO\n")
    answer = cli("screen", "new.txt", "--validators", "charge", "--predictors", "net", "--device",
                 "cpu")  # fmt: skip
    assert answer.code == 0, answer.err
    screened = pd.read_csv(tmp_path / "new.screened.csv")
    assert screened["formation_energy"].isna().tolist() == [False, False, True]


def test_a_table_too_small_to_validate_by(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("formula,formation_energy\nNaCl,-2\n")
    job = tiny_job(tmp_path / "my.csv", tmp_path / "out", epochs=70)  # more than an interval
    assert len(job.rows(Known.VALIDATION)) == len(job.rows(Known.HELD_OUT)) == 0
    job.run()
    assert WeightsDir(tmp_path / "out").card.metrics == {}
    salt = Compositions.from_formulas(["NaCl"])
    predictor = discover().create("predictor", str(tmp_path / "out"), device="cpu")
    assert np.isfinite(predictor.predict(salt)).all()


def test_the_lowest_energy_of_a_formula_is_learned(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("formula,formation_energy\nNaF,-1\nNa2F2,-3\nNaF,-2\nKF,0\n")
    job = prepare(discover(), "elemnet", data=str(tmp_path / "my.csv"), out=tmp_path / "out")
    assert isinstance(job, PredictorJob)
    assert dict(zip(job.dataset.compositions.to_formulas(), job.target, strict=True)) == {
        "NaF": -3,
        "KF": 0,
    }


def test_data_without_the_property(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("formula,energy\nNaF,-1\n")
    with pytest.raises(DataError, match="no column of numbers 'formation_energy', only 'energy'"):
        prepare(discover(), "elemnet", data=str(path), out=tmp_path / "out")


def test_weights_of_another_network(table: Path, tmp_path: Path) -> None:
    tiny_job(table, tmp_path).run()
    tensors = load_file(tmp_path / WeightsDir.TENSORS)
    for change in ({"0.weight": np.zeros((3, 3), np.float32)}, {"extra": np.zeros(1, np.float32)}):
        save_file(tensors | change, tmp_path / WeightsDir.TENSORS)
        with pytest.raises(WeightsError, match="damaged"):
            discover().create("predictor", str(tmp_path), device="cpu")
    with pytest.raises(WeightsError, match="holds no ElemNet"):
        discover().create("predictor", str(_signed(tmp_path)), device="cpu")


def _signed(path: Path) -> Path:
    """Make the card agree with the tensors that lie beside it."""
    from matgen_core.weights import sha256_of, write_card

    card = WeightsDir(path).card
    sha256 = card.sha256 | {WeightsDir.TENSORS: sha256_of(path / WeightsDir.TENSORS)}
    write_card(path, card.model_copy(update={"sha256": sha256}))
    return path


# --- what is shipped -------------------------------------------------------------------------


def test_the_bare_name_means_the_shipped_weights() -> None:
    component, weights = discover().resolve("predictor", "elemnet")
    assert component.name == "elemnet"
    assert weights is not None
    assert weights.card.name == "elemnet-oqmd"


@pytest.fixture(scope="module")
def oqmd() -> Dataset:
    source = discover().create("source", "oqmd-energy")
    try:
        source.fetch()
    except DataError as error:
        if "cannot reach the package index" in str(error):
            pytest.skip(str(error))
        raise
    dataset: Dataset = source.load()
    return dataset


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_know_their_split(name: str) -> None:
    weights = discover().weights(name)
    known, data = weights.known(), weights.card.data
    assert np.bincount(known.role, minlength=4).tolist() == [
        data.n_train, data.n_held_out, 0, data.n_validation
    ]  # fmt: skip
    assert len(np.unique(known.fingerprints)) == data.n_clean


@pytest.mark.network
def test_shipped_weights_do_what_their_card_says(oqmd: Dataset) -> None:
    """On 5,000 compounds of the published test split, within four standard errors."""
    weights = discover().resolve("predictor", "elemnet")[1]
    assert weights is not None
    rows = np.flatnonzero(oqmd.split == Known.HELD_OUT)
    rows = np.random.default_rng(0).choice(rows, 5_000, replace=False)
    predictor = discover().create("predictor", "elemnet", device="cpu")
    errors = np.abs(predictor.predict(oqmd.compositions[rows]) - oqmd.properties[ENERGY][rows])
    spread = errors.std() / np.sqrt(len(errors))
    assert errors.mean() == pytest.approx(weights.card.metrics["mae"], abs=4 * spread)


@pytest.mark.network
def test_no_test_compound_was_trained_on(oqmd: Dataset) -> None:
    """As reduced formulas: in no polymorph, and in no multiple."""
    weights = discover().resolve("predictor", "elemnet")[1]
    assert weights is not None
    known = weights.known()
    test = oqmd.compositions[oqmd.split == Known.HELD_OUT].reduced().fingerprints()
    for role in (Known.TRAINED, Known.VALIDATION):
        assert not np.isin(known.fingerprints[known.role == role], test).any()
    assert np.isin(known.fingerprints[known.role == Known.HELD_OUT], test).all()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_on_cuda(table: Path, tmp_path: Path) -> None:
    replace(tiny_job(table, tmp_path), device="cuda").run()
    compositions = Compositions.from_formulas(["NaCl", "MgO"])
    cpu, cuda = (
        discover().create("predictor", str(tmp_path), device=device).predict(compositions)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(cpu, cuda, atol=1e-3)
