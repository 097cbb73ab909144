"""The three components: matgen's contract, what each of them promises, and a run with all."""

from __future__ import annotations

from pathlib import Path

import matgen_random
import numpy as np
import pytest

from matgen_core import Compositions, Registry
from matgen_core.errors import InvalidOption
from matgen_core.testing import Cli, RegistryOf, contract


@pytest.fixture
def registry(registry_of: RegistryOf) -> Registry:
    return registry_of(matgen_random)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("generator", "random"), ("validator", "no-radioactive"), ("predictor", "molar-mass")],
)
def test_contract(kind: str, name: str, registry: Registry) -> None:
    contract(registry, kind, name)


def test_every_element_and_count_is_drawn(registry: Registry) -> None:
    samples = registry.create("generator", "random").sample(2000, seed=7)
    decoded = registry.create("encoder", "onehot").decode(samples)
    assert set(decoded.n_elements) == {2, 3, 4, 5}
    assert samples.any(axis=(0, 2)).all(), "an element was never drawn"
    assert samples.any(axis=(0, 1)).all(), "a count was never drawn"


def test_option(registry: Registry) -> None:
    contract(registry, "generator", "random", {"max_elements": 2})
    samples = registry.create("generator", "random", {"max_elements": 2}).sample(100, seed=0)
    assert (samples.sum(axis=(1, 2)) == 2).all()
    with pytest.raises(InvalidOption, match=r"random\.max_elements = 9"):
        registry.create("generator", "random", {"max_elements": 9})


def test_verdicts(registry: Registry) -> None:
    formulas = Compositions.from_formulas(["NaCl", "Bi2O3", "Tc2O7", "PmF3", "UO2", "PoO2"])
    verdicts = registry.create("validator", "no-radioactive").check(formulas)
    assert verdicts.tolist() == [True, True, False, False, False, False]


def test_masses(registry: Registry) -> None:
    formulas = Compositions.from_formulas(["H2O", "NaCl"])
    masses = registry.create("predictor", "molar-mass").predict(formulas)
    assert np.round(masses, 3).tolist() == [18.015, 58.443]


def test_run(cli: Cli) -> None:
    answer = cli(
        "run", "--generator", "random", "--validators", "no-radioactive",
        "--predictors", "molar-mass", "--num", 200, "--output", "table.csv",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    header, *rows = Path("table.csv").read_text().splitlines()
    assert header == "formula,n_elements,no-radioactive,molar_mass"
    assert len(rows) > 50
