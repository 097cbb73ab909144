"""The three components, asked for by name as matgen itself does."""

from __future__ import annotations

import matgen_random
import numpy as np
import pytest

import matgen_onehot
from matgen_core import Compositions, Pipeline, Registry
from matgen_core.errors import InvalidOption
from matgen_core.registry import Plugin


@pytest.fixture
def registry() -> Registry:
    """What `matgen_core.discover` finds where only this plugin and the encoder are installed."""
    registry = Registry()
    for module in (matgen_onehot, matgen_random):
        registry.load(Plugin(module.__name__, module.__name__, "0"), lambda module=module: module)
    assert not registry.broken
    return registry


def test_generator_gives_decodable_samples(registry: Registry) -> None:
    samples = registry.create("generator", "random").sample(2000, seed=7)
    decoded = registry.create("encoder", "onehot").decode(samples)
    assert set(decoded.n_elements) == {2, 3, 4, 5}
    assert samples.any(axis=(0, 2)).all(), "an element was never drawn"
    assert samples.any(axis=(0, 1)).all(), "a count was never drawn"


def test_generator_repeats_itself_by_seed(registry: Registry) -> None:
    generator = registry.create("generator", "random")
    assert np.array_equal(generator.sample(50, seed=1), generator.sample(50, seed=1))
    assert not np.array_equal(generator.sample(50, seed=1), generator.sample(50, seed=2))


def test_option(registry: Registry) -> None:
    samples = registry.create("generator", "random", {"max_elements": 2}).sample(100, seed=0)
    assert (samples.sum(axis=(1, 2)) == 2).all()
    with pytest.raises(InvalidOption, match=r"random\.max_elements = 9"):
        registry.create("generator", "random", {"max_elements": 9})


def test_validator(registry: Registry) -> None:
    formulas = Compositions.from_formulas(["NaCl", "Bi2O3", "Tc2O7", "PmF3", "UO2", "PoO2"])
    batch = Compositions.concatenate([formulas, Compositions.empty(1)])
    verdicts = registry.create("validator", "no-radioactive").check(batch)
    assert verdicts.tolist() == [True, True, False, False, False, False, False]


def test_predictor(registry: Registry) -> None:
    batch = Compositions.concatenate(
        [Compositions.from_formulas(["H2O", "NaCl"]), Compositions.empty(1)]
    )
    masses = registry.create("predictor", "molar-mass").predict(batch)
    assert masses[:2] == pytest.approx([18.015, 58.443], abs=0.001)
    assert np.isnan(masses[2])


def test_pipeline(registry: Registry) -> None:
    pipeline = Pipeline(registry, generator="random", validators=["no-radioactive"], num=200)
    table = pipeline.to_frame()
    assert len(table) > 50
    assert not table["formula"].str.contains("Tc|Pm|Ac|Th|Pa|U|Np|Pu").any()
