"""What holds of every network of formation energy, trained on anybody's table or shipped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Cli
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from trainings import assert_same_tensors

from matgen_core import Compositions, Dataset, discover
from matgen_core.errors import DataError, InvalidOption, WeightsError
from matgen_core.registry import Weights, import_object
from matgen_core.training import PredictorJob, prepare
from matgen_core.weights import Known, WeightsDir, sha256_of, write_card
from matgen_networks import checkpoint
from matgen_networks.regression import ELEMENTS, inside

NETWORKS: dict[str, dict[str, object]] = {
    "elemnet": {},
    "transformer": {"width": 32, "layers": 2},
}
"""Recipes that make the networks as small as they can be."""
ENERGY = "formation_energy"
ANIONS = {"F": -2.0, "Cl": -1.5, "Br": -1.0, "O": -2.5, "S": -1.2, "N": 0.1}
CATIONS = "Li Na K Rb Cs Mg Ca Sr Ba Zn Al Ga Ti V Fe".split()
SHIPPED = [
    entry.item
    for entry in discover().entries("weights")
    if isinstance(entry.item, Weights) and entry.item.component in NETWORKS
]
each = pytest.mark.parametrize("component", NETWORKS)
shipped = pytest.mark.parametrize("item", SHIPPED, ids=lambda item: item.name)

counts = st.lists(
    st.dictionaries(st.sampled_from(ELEMENTS), st.integers(1, 200), min_size=1, max_size=9),
    min_size=1,
    max_size=20,
)
"""Compositions that a network can represent, as counts by symbol."""


# --- elements --------------------------------------------------------------------------------


def test_elements_are_those_of_oqmd() -> None:
    assert len(ELEMENTS) == 86
    assert "Kr" in ELEMENTS
    assert not {"He", "Ne", "Ar", "Po", "At", "Rn", "Fr", "Ra", "Am"} & set(ELEMENTS)


def test_inside() -> None:
    compositions, _ = Compositions.parse(["NaCl", "KrF2", "XeF2", "HeF", "NaAm", "?", "PuO2"])
    assert inside(compositions).tolist() == [True, True, True, False, False, False, True]


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


def tiny_job(
    component: str, table: Path, out: Path, epochs: float = 2, **settings: object
) -> PredictorJob:
    recipe = NETWORKS[component] | {"epochs": epochs, "batch_size": 64, "interval": 5}
    job = prepare(
        discover(),
        component,
        data=str(table),
        out=out,
        options={component: recipe | settings.pop("recipe", {})},
        device="cpu",
        **settings,
    )
    assert isinstance(job, PredictorJob)
    return job


@pytest.fixture(scope="module", params=NETWORKS)
def trained(
    request: pytest.FixtureRequest, table: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a network that was shortly trained."""
    out = tmp_path_factory.mktemp("trained")
    tiny_job(request.param, table, out).run()
    return out


@each
def test_it_learns(component: str, table: Path, tmp_path: Path) -> None:
    """On compounds it was not shown it is far better than their mean."""
    recipe = {"averaging": 0.9, "interval": 50}
    job = tiny_job(component, table, tmp_path, epochs=40, recipe=recipe)
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


def test_a_multiple_has_the_same_energy(trained: Path) -> None:
    predictor = discover().create("predictor", str(trained), device="cpu")
    once, thrice = predictor.predict(Compositions.from_formulas(["Na2O", "Na6O3"]))
    assert once == pytest.approx(thrice, abs=1e-6)


def test_batches_of_any_size_give_the_same_values(trained: Path) -> None:
    salts = [f"Na{i}{rest}" for i in range(1, 13) for rest in ("Cl", "ClO3", "LiKFeAlSiO6")]
    compositions = Compositions.from_formulas(salts)
    one, seven = (
        discover().create("predictor", str(trained), {"batch_size": n}, device="cpu")
        for n in (1000, 7)
    )
    np.testing.assert_allclose(one.predict(compositions), seven.predict(compositions), atol=1e-5)


@each
def test_resumed_training_is_the_uninterrupted_one(
    component: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    settings = {"epochs": 2, "recipe": {"interval": 3}}
    tiny_job(component, table, whole, **settings).run()

    write = checkpoint.write

    def write_and_break_off(*arguments: object) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", write_and_break_off)
        for go_on in (False, True, True):  # until it is in the midst of the second epoch
            with pytest.raises(KeyboardInterrupt):
                tiny_job(component, table, halves, resume=go_on, **settings).run()
    with pytest.raises(InvalidOption, match="--resume"):
        tiny_job(component, table, halves, **settings).run()
    tiny_job(component, table, halves, resume=True, **settings).run()
    assert_same_tensors(whole, halves)


def test_a_constant_rate_does_not_hang_on_the_number_of_epochs(table: Path, tmp_path: Path) -> None:
    """So more of them, asked for later, are the training that had them from the beginning."""
    constant = {"decay": 0.0, "interval": 3}
    tiny_job("elemnet", table, tmp_path / "whole", epochs=2, recipe=constant).run()
    for epochs in (1, 2):
        halves = tmp_path / "halves"
        tiny_job("elemnet", table, halves, epochs=epochs, recipe=constant, resume=True).run()
    ours, theirs = (load_file(tmp_path / d / checkpoint.FILE) for d in ("whole", "halves"))
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@each
def test_validation_chooses_and_held_out_reports(
    component: str, table: Path, tmp_path: Path
) -> None:
    """Held-out energies may be anything: nothing that is trained or chosen hangs on them."""
    job = tiny_job(component, table, tmp_path / "one")
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


@each
def test_training_from_the_command_line(component: str, cli: Cli, tmp_path: Path) -> None:
    salts = [f"{c}{n}{a}" for c in CATIONS for a in ANIONS for n in (1, 2)]
    rows = [f"{salt},{i / 100 - 2}" for i, salt in enumerate(salts)]
    bad = ["Xy2O,-1", "HeO,-1", "NaO,much", ",-3", "NaF2,", "LiF,-9", "Li3F3,-8.5"]
    (tmp_path / "my.csv").write_text("\n".join(["formula,formation_energy", *rows, *bad]) + "\n")
    answer = cli("train", component, "--data", "my.csv", "--out", "net", "--set",
                 f"{component}.epochs=1", "--device", "cpu")  # fmt: skip
    assert answer.code == 0, answer.err
    assert f"{component}-my: 180 compounds;" in answer.out
    assert "2 dropped: same reduced formula, formation_energy not the lowest" in answer.err
    assert "5 rows set aside: see net/rejected.csv" in answer.err
    aside = pd.read_csv(tmp_path / "net" / "rejected.csv", keep_default_na=False)
    first = len(rows) + 2  # the first bad line; line 1 is the header
    assert aside.set_index("row")["reason"].to_dict() == {
        first: "'Xy2O': no element 'Xy'",
        first + 1: f"{component} cannot represent it",
        first + 2: "formation_energy: 'much' is no number",
        first + 3: "empty formula",
        first + 4: "formation_energy is missing",
    }
    card = WeightsDir(tmp_path / "net").card
    assert card.name == f"{component}-my"
    assert card.data.n_train + card.data.n_validation + card.data.n_held_out == 180
    assert min(card.data.n_validation, card.data.n_held_out) > 0

    (tmp_path / "new.txt").write_text("NaCl\nFe2O3\nHeO\n")
    answer = cli("screen", "new.txt", "--validators", "charge", "--predictors", "net", "--device",
                 "cpu")  # fmt: skip
    assert answer.code == 0, answer.err
    screened = pd.read_csv(tmp_path / "new.screened.csv")
    assert screened["formation_energy"].isna().tolist() == [False, False, True]


@each
def test_a_table_too_small_to_validate_by(component: str, tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("formula,formation_energy\nNaCl,-2\n")
    # Three intervals, none of which has anything to be judged by.
    job = tiny_job(
        component, tmp_path / "my.csv", tmp_path / "out", epochs=15, recipe={"batch_size": 1}
    )
    assert len(job.rows(Known.VALIDATION)) == len(job.rows(Known.HELD_OUT)) == 0
    job.run()
    assert WeightsDir(tmp_path / "out").card.metrics == {}
    salt = Compositions.from_formulas(["NaCl"])
    predictor = discover().create("predictor", str(tmp_path / "out"), device="cpu")
    assert np.isfinite(predictor.predict(salt)).all()


@each
def test_the_lowest_energy_of_a_formula_is_learned(component: str, tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("formula,formation_energy\nNaF,-1\nNa2F2,-3\nNaF,-2\nKF,0\n")
    job = tiny_job(component, tmp_path / "my.csv", tmp_path / "out")
    assert dict(zip(job.dataset.compositions.to_formulas(), job.target, strict=True)) == {
        "NaF": -3,
        "KF": 0,
    }


@each
def test_data_without_the_property(component: str, tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text("formula,energy\nNaF,-1\n")
    with pytest.raises(DataError, match="no column of numbers 'formation_energy', only 'energy'"):
        tiny_job(component, path, tmp_path / "out")


# --- weights ---------------------------------------------------------------------------------


@each
def test_a_predictor_needs_weights(component: str) -> None:
    described = discover().component("predictor", component)
    with pytest.raises(WeightsError, match="needs weights"):
        import_object(described.factory, component)(described.options())


def _signed(path: Path, **changes: object) -> Path:
    """Make the card agree with the tensors that lie beside it."""
    card = WeightsDir(path).card
    sha256 = card.sha256 | {WeightsDir.TENSORS: sha256_of(path / WeightsDir.TENSORS)}
    write_card(path, card.model_copy(update={"sha256": sha256, **changes}))
    return path


@each
def test_weights_of_another_network(component: str, table: Path, tmp_path: Path) -> None:
    tiny_job(component, table, tmp_path).run()
    tensors = load_file(tmp_path / WeightsDir.TENSORS)
    first = next(iter(tensors))
    for change in ({first: np.zeros((3, 3), np.float32)}, {"extra": np.zeros(1, np.float32)}):
        save_file(tensors | change, tmp_path / WeightsDir.TENSORS)
        with pytest.raises(WeightsError, match="damaged"):
            discover().create("predictor", str(tmp_path), device="cpu")
        with pytest.raises(WeightsError, match=r"holds no (ElemNet|transformer): "):
            discover().create("predictor", str(_signed(tmp_path)), device="cpu")
    save_file(tensors, tmp_path / WeightsDir.TENSORS)
    model = WeightsDir(tmp_path).card.model
    for elements in ([], model["elements"][::-1], "H Li"):
        _signed(tmp_path, model=model | {"elements": elements})
        with pytest.raises(WeightsError, match=r"holds no .*: its elements are others"):
            discover().create("predictor", str(tmp_path), device="cpu")


# --- what is shipped -------------------------------------------------------------------------


@shipped
def test_the_bare_name_means_the_shipped_weights(item: Weights) -> None:
    component, weights = discover().resolve("predictor", item.component)
    assert component.name == item.component
    assert weights is not None
    assert weights.card.name == item.name == f"{item.component}-oqmd"


@shipped
def test_shipped_weights_know_their_split(item: Weights) -> None:
    weights = discover().weights(item.name)
    known, data = weights.known(), weights.card.data
    assert np.bincount(known.role, minlength=4).tolist() == [
        data.n_train, data.n_held_out, 0, data.n_validation
    ]  # fmt: skip
    assert len(np.unique(known.fingerprints)) == data.n_clean


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


@pytest.mark.network
@shipped
def test_shipped_weights_do_what_their_card_says(item: Weights, oqmd: Dataset) -> None:
    """On 5,000 compounds of the published test split, within four standard errors."""
    rows = np.flatnonzero(oqmd.split == Known.HELD_OUT)
    rows = np.random.default_rng(0).choice(rows, 5_000, replace=False)
    predictor = discover().create("predictor", item.name, device="cpu")
    errors = np.abs(predictor.predict(oqmd.compositions[rows]) - oqmd.properties[ENERGY][rows])
    spread = errors.std() / np.sqrt(len(errors))
    said = discover().weights(item.name).card.metrics["mae"]
    assert errors.mean() == pytest.approx(said, abs=4 * spread)


@pytest.mark.network
@shipped
def test_no_test_compound_was_trained_on(item: Weights, oqmd: Dataset) -> None:
    """As reduced formulas: in no polymorph, and in no multiple."""
    known = discover().weights(item.name).known()
    test = oqmd.compositions[oqmd.split == Known.HELD_OUT].reduced().fingerprints()
    for role in (Known.TRAINED, Known.VALIDATION):
        assert not np.isin(known.fingerprints[known.role == role], test).any()
    assert np.isin(known.fingerprints[known.role == Known.HELD_OUT], test).all()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@each
def test_training_on_cuda(component: str, table: Path, tmp_path: Path) -> None:
    replace(tiny_job(component, table, tmp_path), device="cuda").run()
    compositions = Compositions.from_formulas(["NaCl", "MgO"])
    cpu, cuda = (
        discover().create("predictor", str(tmp_path), device=device).predict(compositions)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(cpu, cuda, atol=1e-3)
